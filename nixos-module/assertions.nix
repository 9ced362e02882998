# What cannot work, said when the configuration is evaluated: the option, why, and the way out.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  boot = config.boot;
  paths = import ./lib/paths.nix;
  phases = import ./lib/phases.nix { inherit config lib; };
  identities = import ./lib/identities.nix;
  by = import ./lib/users-by.nix { inherit config options; };
  ids = import ./lib/initrd-ids.nix { inherit config lib; };
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
  optionOf = set: name: "sops.${set}.${quoted name}";

  entries =
    lib.mapAttrsToList (name: entry: {
      inherit entry;
      option = optionOf "secrets" name;
      place = "${paths.of entry}/${entry.name}";
    }) cfg.secrets
    ++ lib.mapAttrsToList (name: entry: {
      inherit entry;
      option = optionOf "templates" name;
      place = "${paths.of entry}/rendered/${entry.name}";
    }) cfg.templates;

  # Groups of more than one with the same `by`.
  clashes =
    by: items:
    lib.filter (group: lib.length group > 1) (lib.attrValues (lib.groupBy by items));

  identityFiles = identities.files cfg ++ identities.files cfg.initrd;

  loaderName =
    let
      l = boot.loader;
      enabled = name: l ? ${name} && l.${name}.enable or false;
      known = lib.filter enabled [
        "generic-extlinux-compatible"
        "refind"
        "raspberryPi"
        "external"
        "initScript"
        "generationsDir"
        "systemd-boot"
        "grub"
        "limine"
      ];
    in
    if known == [ ] then "this configuration, which enables no boot loader," else "boot.loader.${lib.head known}";

  keySources = [
    {
      assertion = cfg.secrets == { } || cfg.mock.enable || identities.files cfg != [ ];
      message = ''
        sops.secrets is set, and nothing says which key opens them. Set sops.age.keyFile, sops.age.sshKeyPaths,
        sops.gnupg.home or sops.gnupg.sshKeyPaths, or enable services.openssh, whose host keys are then used.
      '';
    }
    {
      assertion = cfg.secrets == { } || !(cfg.gnupg.home != null && cfg.gnupg.sshKeyPaths != [ ]);
      message = ''
        sops.gnupg.home and sops.gnupg.sshKeyPaths are both set. Only one can be: with a home of its own, set
        sops.gnupg.sshKeyPaths = [ ] (it defaults to the RSA host keys).
      '';
    }
    {
      assertion = cfg.secrets == { } || !(cfg.gnupg.home != null && cfg.age.keyFile != null);
      message = ''
        sops.gnupg.home and sops.age.keyFile are both set. Only one can be; sops.age.sshKeyPaths goes with either.
      '';
    }
    {
      assertion = cfg.secrets != { } && cfg.age.generateKey -> cfg.age.keyFile != null;
      message = "sops.age.generateKey is set, but not where the key is to be: set sops.age.keyFile.";
    }
    {
      assertion = cfg.secrets == { } || lib.getName cfg.package != "sops-install-secrets";
      message = ''
        sops.package is sops-nix's own program, which knows nothing of the initrd. Remove the setting, or give it a forestage.
      '';
    }
  ]
  ++ lib.optionals initrd.exists [
    {
      assertion = identities.files cfg.initrd != [ ];
      message = ''
        There are secrets for the initrd, and nothing says which key opens them. Set sops.initrd.age.keyFile,
        sops.initrd.age.sshKeyPaths or one of sops.initrd.gnupg.
      '';
    }
    {
      assertion =
        !(cfg.initrd.gnupg.home != null && (cfg.initrd.gnupg.sshKeyPaths != [ ] || cfg.initrd.age.keyFile != null));
      message = ''
        sops.initrd.gnupg.home excludes sops.initrd.gnupg.sshKeyPaths and sops.initrd.age.keyFile: set those to [ ] and null.
      '';
    }
  ];

  owners = lib.concatMap (
    { option, entry, ... }:
    let
      # sops-nix does not ask this of secrets whose files it does not check; the name then wins.
      asked = entry ? sopsFile -> cfg.validateSopsFiles;
    in
    [
      {
        assertion = asked -> !(entry.owner != null && entry.uid != null && entry.uid != 0);
        message = "${option}: both owner (${toString entry.owner}) and uid (${toString entry.uid}) are set. Set one of them.";
      }
      {
        assertion = asked -> !(entry.group != null && entry.gid != null && entry.gid != 0);
        message = "${option}: both group (${toString entry.group}) and gid (${toString entry.gid}) are set. Set one of them.";
      }
      {
        assertion = entry.neededForUsers || entry.neededForBootloader -> rootOwned entry;
        message = ''
          ${option}: with ${
            if entry.neededForBootloader then "neededForBootloader" else "neededForUsers"
          } a file belongs to root, since no other user exists yet. Remove owner, group, uid and gid.
        '';
      }
      {
        assertion = !(entry.neededForUsers && entry.neededForBootloader);
        message = ''
          ${option}: neededForUsers and neededForBootloader name different places. Declare it twice, with the same `key`.
        '';
      }
      {
        assertion = octal entry.mode && octal entry.initrd.mode;
        message = "${option}: the mode is not octal digits, such as 0400.";
      }
    ]
  ) entries;
  # As sops-nix asks it. (A name beside uid 0 passes there, and lands as root's: a warning.)
  rootOwned =
    entry:
    (entry.uid == 0 || entry.owner == "root") && (entry.gid == 0 || entry.group == "root");
  octal = mode: builtins.match "[0-7]{1,6}" mode != null;

  places =
    map (group: {
      assertion = false;
      message = "${list (map (e: e.option) group)} have one path, ${(lib.head group).entry.path}. Give each its own `path`.";
    }) (clashes (e: e.entry.path) entries)
    ++ map (group: {
      assertion = false;
      message = "${list (map (e: e.option) group)} have one name, ${(lib.head group).entry.name}. Give each its own `name`.";
    }) (lib.filter (group: (clashes (e: e.entry.path) group) == [ ]) (clashes (e: e.place) entries))
    ++ map (e: {
      assertion = false;
      message = "${e.option}: the path ${e.entry.path} is not absolute.";
    }) (lib.filter (e: !(lib.hasPrefix "/" e.entry.path)) entries);

  inInitrd = lib.optionals initrd.exists (
    [
      {
        assertion = boot.loader.supportsInitrdSecrets;
        message = ''
          ${loaderName} cannot put secrets into the initrd (boot.loader.supportsInitrdSecrets is false), and there are some:
          ${list (map (f: f.target) initrd.files)}.
          Use systemd-boot, GRUB, limine or lanzaboote; or remove `initrd.enable` of these secrets and templates and their
          entries of boot.initrd.secrets and boot.initrd.network.ssh.hostKeys. Do not follow the advice to use unquoted
          paths: it copies secrets to the Nix store, where every user can read them.
        '';
      }
    ]
    ++ map (group: {
      assertion = false;
      message = "Several secrets have one place in the initrd, ${(lib.head group).target}: ${
        list (map (f: f.secret or f.template or f.source) group)
      }. Change `initrd.path`, or the name in boot.initrd.secrets.";
    }) (clashes (f: f.target) initrd.files)
  )
  ++ lib.concatMap (
    { option, entry, ... }:
    lib.optionals entry.initrd.enable (
      [
        {
          assertion = boot.initrd.enable;
          message = "${option}.initrd.enable: this system has no initrd (boot.initrd.enable is false).";
        }
        {
          assertion = lib.hasPrefix "/" entry.initrd.path && plainPath entry.initrd.path;
          message = "${option}.initrd.path: ${entry.initrd.path} is not an absolute path without `..`.";
        }
        {
          assertion =
            !(lib.any (dir: entry.initrd.path == dir || lib.hasPrefix "${dir}/" entry.initrd.path) [
              "/.forestage"
              "/.initrd-secrets"
              "/nix"
              "/proc"
              "/sys"
              "/dev"
            ])
            && !(lib.elem entry.initrd.path [
              "/"
              "/run"
            ]);
          message = "${option}.initrd.path: nothing can be put at ${entry.initrd.path}. Choose a path below /run or /etc.";
        }
        {
          assertion = ids.known entry.initrd;
          message = ''
            ${option}.initrd: ${
              list (
                map toString (
                  lib.filter (name: name != null) [
                    entry.initrd.owner
                    entry.initrd.group
                  ]
                )
              )
            } has no number in the initrd. Set boot.initrd.systemd.users.NAME.uid and boot.initrd.systemd.groups.NAME.gid, or
            give numbers as owner and group.
          '';
        }
        {
          assertion =
            entry.initrd.credential == null
            || builtins.match "[A-Za-z0-9_.-]{1,255}" entry.initrd.credential != null;
          message = "${option}.initrd.credential: ${toString entry.initrd.credential} is no name of a credential (letters, digits, `.`, `_`, `-`).";
        }
        {
          assertion =
            cfg.initrd.allowIdentity
            || !(lib.elem entry.path identityFiles || lib.elem entry.initrd.path identityFiles);
          message = ''
            ${option}.initrd.enable would put a key that this machine decrypts with into the initrd, where whoever can read the
            boot partition has it, and with it every sops file of this machine. Use a key of its own for the initrd, or set
            sops.initrd.allowIdentity = true.
          '';
        }
      ]
    )
  ) entries;
  plainPath = path: !(lib.elem ".." (lib.splitString "/" path));

  passwords =
    [
      {
        assertion = phases.users.secrets != { } && by.sysusers -> config.users.mutableUsers;
        message = ''
          sops.secrets.<name>.neededForUsers with systemd.sysusers.enable needs users.mutableUsers = true: systemd-sysusers
          sets passwords only of users that it creates. services.userborn.enable has no such limit.
        '';
      }
      {
        assertion = phases.users.secrets == { } || !by.built;
        message = ''
          sops.secrets.<name>.neededForUsers with services.userborn.static: passwords are then fixed when the system is built,
          where no secret can be. Set services.userborn.static = false, or remove neededForUsers.
        '';
      }
      {
        assertion = !(config.system ? nixos-init && config.system.nixos-init.enable or false) || cfg.secrets == { } || cfg.useSystemdActivation;
        message = ''
          sops.useSystemdActivation is false, and system.nixos-init.enable runs no activation scripts: no secret would be set
          up. Set sops.useSystemdActivation = true.
        '';
      }
    ];
in
{
  assertions = keySources ++ owners ++ places ++ inInitrd ++ passwords;
}
