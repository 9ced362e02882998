# What works, and is probably not meant.
{
  config,
  options,
  lib,
  pkgs,
  utils,
  ...
}:

let
  cfg = config.sops;
  boot = config.boot;
  phases = import ./lib/phases.nix { inherit config lib; };
  identities = import ./lib/identities.nix;
  by = import ./lib/users-by.nix { inherit config options; };
  initrd = import ./lib/initrd.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  quoted = lib.strings.escapeNixIdentifier;
  list = lib.concatStringsSep ", ";
  identityFiles = lib.unique (map toString (identities.files cfg ++ identities.files cfg.initrd));

  # Identities that are copied to the boot partition as they are, maybe with the directory that holds them.
  exposed = lib.filter (
    file: lib.any (identity: identity == file.from || lib.hasPrefix "${file.from}/" identity) identityFiles
  ) (initrd.plain ++ initrd.provisioned);

  # The file system that a path lies on: the one with the longest mount point.
  below = mountPoint: path: mountPoint == "/" || path == mountPoint || lib.hasPrefix "${mountPoint}/" path;
  fileSystemOf =
    path:
    let
      over = lib.filter (fs: below fs.mountPoint path) (lib.attrValues config.fileSystems);
      longer = a: b: lib.stringLength a.mountPoint > lib.stringLength b.mountPoint;
    in
    if over == [ ] then null else lib.head (lib.sort longer over);
  # Scripts run while only these are mounted; units wait for their mounts.
  byScript =
    (phases.system.exists && !cfg.useSystemdActivation)
    || (phases.users.exists && !by.unit);
  late = lib.filter (
    path:
    let
      fs = fileSystemOf path;
    in
    fs != null && !(utils.fsNeededForBoot fs)
  ) (lib.unique (map toString (identities.files cfg)));

  # A FAT file system has the permissions that it is mounted with.
  openMasks =
    fs:
    let
      masks = lib.filter (option: builtins.match "(umask|fmask)=.*" option != null) fs.options;
      closed = option: builtins.match "(umask|fmask)=0?[0-7]?77" option != null;
    in
    lib.elem fs.fsType [
      "vfat"
      "msdos"
    ]
    && (masks == [ ] || !(lib.all closed masks));
  openBoot = lib.filter (fs: fs != null && fs.mountPoint != "/" && openMasks fs) (
    map fileSystemOf (import ./lib/boot-directories.nix boot.loader)
  );

  inStore =
    file: builtins.isPath file || lib.hasPrefix builtins.storeDir (toString file);
  outside = lib.filterAttrs (_: secret: !(inStore secret.sopsFile)) initrd.secrets;

  # Secrets that stage 1 is told to read at their paths, and that do not go there.
  unmet = lib.filter (
    use: use.declared != null && !(lib.any (file: file.target == use.path) initrd.files)
  ) (
    map (use: use // { declared = initrd.declaredAt use.path; }) (
      lib.filter (use: use.path != null) (
        lib.mapAttrsToList (name: device: {
          option = "boot.initrd.luks.devices.${quoted name}.keyFile";
          path = device.keyFile;
        }) boot.initrd.luks.devices
        ++ lib.mapAttrsToList (name: netdev: {
          option = "boot.initrd.systemd.network.netdevs.${quoted name}.wireguardConfig.PrivateKeyFile";
          path = netdev.wireguardConfig.PrivateKeyFile or null;
        }) boot.initrd.systemd.network.netdevs
      )
    )
  );

  # Placeholders that this phase does not replace.
  strangers = lib.concatLists (
    lib.mapAttrsToList (
      phase: content:
      lib.concatLists (
        lib.mapAttrsToList (
          name: template:
          let
            others = lib.filter (
              secret:
              !(content.secrets ? ${secret})
              && lib.hasInfix (toString (cfg.placeholder.${secret} or "\n")) template.content
            ) (lib.attrNames cfg.secrets);
          in
          lib.optional (others != [ ]) ''
            sops.templates.${quoted name} uses ${list others}, which ${
              if lib.length others == 1 then "is" else "are"
            } set up in another phase: the placeholder stays in the file. Declare the secret once more for the ${phase} phase, with
            the same `key`.
          ''
        ) content.templates
      )
    ) phases
  );
in
{
  warnings =
    lib.optionals (boot.initrd.enable && !cfg.mock.enable) (
      map (use: ''
        ${use.option} is ${use.path}, which does not exist in the initrd. Set
        sops.${use.declared.kind}s.${quoted use.declared.name}.initrd.enable = true.
      '') unmet
    )
    ++ lib.optionals (boot.initrd.enable && cfg.secrets != { }) (
      map (file: ''
        boot.initrd.secrets.${quoted file.target} puts ${file.from} into the initrd, in the clear on the boot partition. This
        machine decrypts with it: whoever reads the boot partition can open every sops file of this machine. Use an ssh key of
        its own in the initrd, as a sops secret.
      '') exposed
    )
    ++ lib.optionals initrd.exists (
      map (fs: ''
        Secrets of the initrd lie in the clear on ${fs.mountPoint}, which every user can read. Set
        fileSystems.${quoted fs.mountPoint}.options = [ "umask=0077" ].
      '') openBoot
      ++ lib.mapAttrsToList (name: secret: ''
        sops.secrets.${quoted name} is needed in the initrd, and its sops file ${toString secret.sopsFile} is not in the Nix
        store: an older generation will be installed with what the file holds then, or not at all once it is gone.
      '') outside
    )
    ++ lib.optional (late != [ ] && byScript) ''
      The activation script sets up secrets while only file systems with neededForBoot are mounted, and ${list late} ${
        if lib.length late == 1 then "lies" else "lie"
      } on another. Set fileSystems.<name>.neededForBoot = true, or sops.useSystemdActivation = true.
    ''
    ++ lib.optional
      (
        phases.system.exists
        && !cfg.useSystemdActivation
        && by.unit
      )
      ''
        sops.useSystemdActivation is false, and a unit makes users: when the activation script sets up secrets at boot, users do
        not exist yet, and secrets with an owner fail. Leave sops.useSystemdActivation at its default.
      ''
    ++ lib.mapAttrsToList (name: _: ''
      sops.secrets.${quoted name}: owner and group have no effect; a secret that is needed before users exist belongs to root.
    '') (
      lib.filterAttrs (
        _: secret:
        (secret.neededForUsers || secret.neededForBootloader)
        && (
          !(lib.elem secret.owner [
            null
            "root"
          ])
          || !(lib.elem secret.group [
            null
            "root"
          ])
        )
      ) cfg.secrets
    )
    ++ strangers;
}
