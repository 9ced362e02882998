# What goes into the initrd, and how: the files of the segment, the directories that they need, the manifest.
{
  config,
  options,
  lib,
  pkgs,
}:
let
  cfg = config.sops;
  initrd = config.boot.initrd;
  paths = import ./paths.nix;
  manifests = import ./manifest.nix { inherit config lib pkgs; };
  ids = import ./initrd-ids.nix { inherit config lib; };

  # An absolute path without empty components, as a segment has it; stock scripts take more.
  clean =
    path:
    "/"
    + lib.concatStringsSep "/" (
      lib.filter (part: part != "" && part != ".") (lib.splitString "/" path)
    );

  # Declared secrets and templates, as a list.
  declared =
    lib.mapAttrsToList (name: entry: {
      inherit name entry;
      kind = "secret";
      # Where people know it: at its path, and behind the link that the path may be.
      places = [
        entry.path
        "${paths.of entry}/${entry.name}"
      ];
    }) cfg.secrets
    ++ lib.mapAttrsToList (name: entry: {
      inherit name entry;
      kind = "template";
      places = [
        entry.path
        "${paths.of entry}/rendered/${entry.name}"
      ];
    }) cfg.templates;
  byPlace = lib.listToAttrs (
    lib.concatMap (d: map (place: lib.nameValuePair (clean place) d) d.places) declared
  );

  fileOf = d: target: {
    inherit target;
    inherit (d.entry.initrd) mode;
    uid = ids.uid d.entry.initrd;
    gid = ids.gid d.entry.initrd;
    ${d.kind} = d.name;
  };

  # Of our own options.
  asked = lib.filter (d: d.entry.initrd.enable) declared;
  ours = map (
    d:
    fileOf d (clean d.entry.initrd.path)
    // lib.optionalAttrs (d.entry.initrd.credential != null) { inherit (d.entry.initrd) credential; }
  ) asked;

  # Of boot.initrd.secrets. An entry whose source is the path of a declared secret means that secret; the file need not exist
  # when the bootloader is installed. So does a directory of them, for each. Nothing is interpolated: a literal would end up
  # in the store.
  taken = lib.concatLists (
    lib.mapAttrsToList (
      target: source:
      let
        from = if source == null then target else toString source;
        # A source in the store is found by no name.
        place = clean (builtins.unsafeDiscardStringContext from);
        below = lib.filter (lib.hasPrefix "${place}/") (lib.attrNames byPlace);
      in
      if byPlace ? ${place} || below == [ ] then
        [
          {
            target = clean target;
            inherit from;
            declared = byPlace.${place} or null;
          }
        ]
      else
        map (one: {
          target = clean (target + lib.removePrefix place one);
          from = one;
          declared = byPlace.${one};
        }) below
    ) (removeAttrs initrd.secrets [ entry ])
  );
  provisioned = lib.filter (t: t.declared != null) taken;
  plain = lib.filter (t: t.declared == null) taken;
  sameAsOurs =
    t: lib.any (d: clean d.entry.initrd.path == t.target && d.name == t.declared.name && d.kind == t.declared.kind) asked;

  files =
    ours
    ++ map (t: fileOf t.declared t.target) (lib.filter (t: !sameAsOurs t) provisioned)
    ++ map (t: {
      inherit (t) target;
      source = t.from;
    }) plain;

  # The entry that makes nixpkgs call the appender when boot.initrd.secrets has no other. What it holds is constant: if it
  # depended on other entries, evaluation would not end.
  entry = "/etc/forestage/entry";

  wanted = initrd.enable && (asked != [ ] || provisioned != [ ]);
  # A virtual machine is started without a bootloader; dummies are part of its initrd.
  exists = wanted && !cfg.mock.enable;

  # Directories.
  above =
    path:
    let
      parts = lib.tail (lib.splitString "/" path);
      count = lib.length parts - 1;
    in
    lib.genList (n: "/" + lib.concatStringsSep "/" (lib.take (n + 1) parts)) count;
  there =
    if initrd.systemd.enable then
      map (content: content.target) (lib.filter (content: content.enable) (lib.attrValues initrd.systemd.contents))
    else
      [
        "/init"
        "/lib"
        "/etc/modprobe.d/nixos.conf"
      ]
      ++ lib.attrNames (initrd.extraFiles or { });
  known = lib.genAttrs (lib.concatMap (path: above path ++ [ path ]) (map clean there)) (_: true);
  placed = lib.filter (file: !(file ? source) && !(lib.hasPrefix "/run/" file.target)) files;
  directories = map (path: {
    inherit path;
    # The kernel makes it with this mode.
    mode = if path == "/root" then "0700" else "0755";
  }) (
    lib.filter (path: !(known ? ${path}))
      (lib.sort lib.lessThan (lib.unique (lib.concatMap (file: above file.target) placed)))
  );

  # Secrets and templates that the files need, by their attributes: those are unique over all phases.
  templates = lib.filterAttrs (name: _: lib.any (file: file.template or null == name) files) cfg.templates;
  textOf =
    template:
    if template.content != "" then
      template.content
    else if builtins.isPath template.file then
      builtins.readFile template.file
    else
      null;
  texts = map textOf (lib.attrValues templates);
  usedByTemplate =
    name:
    lib.any (
      text: text == null || lib.hasInfix (toString (cfg.placeholder.${name} or "\n")) text
    ) texts;
  secrets = lib.filterAttrs (
    name: _: lib.any (file: file.secret or null == name) files || usedByTemplate name
  ) cfg.secrets;

  content =
    manifests.openedBy cfg.initrd
    // {
      version = 1;
      phase = "initrd";
      secrets = lib.mapAttrsToList (
        name: secret:
        manifests.pick [ "sopsFile" "sopsFileHash" "format" "mode" ] (manifests.source name secret)
        // {
          inherit name;
          # Files of these formats are written whole in every phase.
          key = if lib.elem secret.format [ "binary" "dotenv" "ini" ] then "" else secret.key;
        }
      ) secrets;
      templates = lib.mapAttrsToList (
        name: template: manifests.pick [ "content" "file" "mode" ] template // { inherit name; }
      ) templates;
      placeholderBySecretName = lib.optionalAttrs (templates != { }) (
        lib.mapAttrs (name: _: cfg.placeholder.${name}) secrets
      );
      inherit files directories;
      logging = {
        keyImport = false;
        secretChanges = false;
      };
    };
in
{
  inherit
    wanted
    exists
    entry
    asked
    provisioned
    plain
    files
    directories
    secrets
    templates
    ;

  # The secret or template that a path means.
  declaredAt = path: byPlace.${clean path} or null;

  manifest = manifests.file "-initrd" secrets (
    content
    // {
      # By its length our segment is told from what stands before it.
      base = "${config.system.build.initialRamdisk}/${config.system.boot.loader.initrdFile}";
    }
  );

  # Of what the manifest says and of the sops files in the store, not of the initrd.
  digest = builtins.hashString "sha256" (builtins.unsafeDiscardStringContext (builtins.toJSON content));

  # What stage 1 is to find. Nothing in it depends on a plaintext.
  expected = builtins.toJSON {
    version = 1;
    symlinkPath = paths.phases.system.symlink;
    files = map (file: {
      inherit (file) target;
      name = file.secret or file.template or file.target;
    }) files;
  };
}
