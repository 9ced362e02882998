# Mistakes in configurations, and what is said of them: which option, and what to do.
let
  evaluation = import ./evaluate.nix { };
  inherit (evaluation) lib;
  file = /. + builtins.getEnv "TEST_SECRETS";

  base = {
    sops.defaultSopsFile = lib.mkDefault file;
    sops.age.keyFile = lib.mkDefault "/var/lib/key.txt";
    boot.loader.systemd-boot.enable = lib.mkDefault true;
    boot.initrd.systemd.enable = lib.mkDefault true;
    fileSystems."/boot" = lib.mkDefault {
      device = "/dev/vdb";
      fsType = "vfat";
      options = [ "umask=0077" ];
    };
  };

  # Each says all of these, in one message.
  mistakes = {
    no-identity = {
      config.sops.age.keyFile = null;
      config.sops.secrets.a = { };
      assertion = [
        "sops.age.keyFile"
        "services.openssh"
      ];
    };
    two-gnupg-sources = {
      config.sops.gnupg.home = "/root/.gnupg";
      config.sops.gnupg.sshKeyPaths = [ "/k" ];
      config.sops.age.keyFile = null;
      config.sops.secrets.a = { };
      assertion = [
        "sops.gnupg.home"
        "sops.gnupg.sshKeyPaths = [ ]"
      ];
    };
    gnupg-and-age = {
      config.sops.gnupg.home = "/root/.gnupg";
      config.sops.secrets.a = { };
      assertion = [
        "sops.gnupg.home"
        "sops.age.keyFile"
      ];
    };
    generate-without-place = {
      config.sops.age.keyFile = null;
      config.sops.age.sshKeyPaths = [ "/k" ];
      config.sops.age.generateKey = true;
      config.sops.secrets.a = { };
      assertion = [
        "sops.age.generateKey"
        "sops.age.keyFile"
      ];
    };
    package-of-sops-nix = {
      config.sops.secrets.a = { };
      config.sops.package = lib.mkForce (evaluation.pkgs.writeText "sops-install-secrets" "");
      assertion = [
        "sops.package"
        "Remove"
      ];
    };
    owner-and-uid = {
      config.sops.secrets.a = {
        owner = "root";
        uid = 3;
      };
      assertion = [
        "sops.secrets.a"
        "uid"
      ];
    };
    template-group-and-gid = {
      config.sops.secrets.a = { };
      config.sops.templates.t = {
        group = "root";
        gid = 3;
      };
      assertion = [
        "sops.templates.t"
        "gid"
      ];
    };
    bad-mode = {
      config.sops.secrets.a.mode = "u=r";
      assertion = [
        "sops.secrets.a"
        "0400"
      ];
    };
    users-not-root = {
      config.sops.secrets.a = {
        neededForUsers = true;
        uid = 1000;
      };
      assertion = [
        "sops.secrets.a"
        "neededForUsers"
        "root"
      ];
    };
    users-owner-ignored = {
      config.users.users.x = {
        isSystemUser = true;
        group = "root";
      };
      config.sops.secrets.a = {
        neededForUsers = true;
        owner = "x";
      };
      warning = [
        "sops.secrets.a"
        "root"
      ];
    };
    users-and-bootloader = {
      config.sops.secrets.a = {
        neededForUsers = true;
        neededForBootloader = true;
      };
      assertion = [
        "sops.secrets.a"
        "neededForBootloader"
      ];
    };
    sysusers-immutable = {
      config.systemd.sysusers.enable = true;
      config.users.mutableUsers = false;
      config.sops.secrets.a.neededForUsers = true;
      assertion = [
        "users.mutableUsers"
        "userborn"
      ];
    };
    userborn-static = {
      module = {
        imports = (import ./stubs evaluation.tree).userborn;
        services.userborn.enable = true;
        services.userborn.static = true;
        sops.secrets.a.neededForUsers = true;
      };
      assertion = [
        "neededForUsers"
        "services.userborn.static"
      ];
    };
    old-names = {
      config.sops.age.keyFile = null;
      config.sops.gnupgHome = "/var/lib/sops";
      config.sops.sshKeyPaths = [ ];
      config.sops.secrets.a = { };
      warning = [
        "sops.gnupgHome"
        "sops.gnupg.home"
      ];
    };
    secret-and-template-with-one-path = {
      config.sops.secrets.a.path = "/etc/x";
      config.sops.templates.t = {
        content = "x";
        path = "/etc/x";
      };
      assertion = [
        "sops.secrets.a"
        "sops.templates.t"
        "path"
      ];
    };
    one-path = {
      config.sops.secrets.a.path = "/etc/x";
      config.sops.secrets.b.path = "/etc/x";
      assertion = [
        "sops.secrets.a"
        "sops.secrets.b"
        "/etc/x"
      ];
    };
    one-name = {
      config.sops.secrets.a = {
        name = "n";
        path = "/1";
      };
      config.sops.secrets.b = {
        name = "n";
        path = "/2";
      };
      assertion = [
        "sops.secrets.a"
        "sops.secrets.b"
        "name"
      ];
    };
    relative-path = {
      config.sops.secrets.a.path = "etc/x";
      assertion = [
        "sops.secrets.a"
        "absolute"
      ];
    };
    unsupported-loader = {
      config.boot.loader.systemd-boot.enable = false;
      config.boot.loader.generic-extlinux-compatible.enable = true;
      config.sops.secrets.a.initrd.enable = true;
      assertion = [
        "generic-extlinux-compatible"
        "supportsInitrdSecrets"
        "/run/secrets/a"
        "systemd-boot"
      ];
    };
    unsupported-loader-migrated = {
      config.boot.loader.systemd-boot.enable = false;
      config.boot.loader.external.enable = true;
      config.boot.loader.external.installHook = "/bin/true";
      config.sops.secrets.a = { };
      config.boot.initrd.secrets."/key" = "/run/secrets/a";
      assertion = [
        "boot.loader.external"
        "/key"
      ];
    };
    one-place-in-initrd = {
      config.sops.secrets.a.initrd = {
        enable = true;
        path = "/key";
      };
      config.sops.secrets.b = { };
      config.boot.initrd.secrets."/key" = "/run/secrets/b";
      assertion = [
        "/key"
        "a, b"
        "initrd.path"
      ];
    };
    no-initrd = {
      config.boot.initrd.enable = false;
      config.boot.isContainer = true;
      config.boot.loader.systemd-boot.enable = false;
      config.sops.secrets.a.initrd.enable = true;
      assertion = [
        "sops.secrets.a.initrd.enable"
        "no initrd"
      ];
    };
    bad-place-in-initrd = {
      config.sops.secrets.a.initrd = {
        enable = true;
        path = "/nix/store/x";
      };
      assertion = [
        "sops.secrets.a.initrd.path"
        "/nix/store/x"
      ];
    };
    dots-in-initrd = {
      config.sops.secrets.a.initrd = {
        enable = true;
        path = "/etc/../x";
      };
      assertion = [ "sops.secrets.a.initrd.path" ];
    };
    name-without-number = {
      config.sops.secrets.a.initrd = {
        enable = true;
        owner = "nobody-knows";
      };
      assertion = [
        "sops.secrets.a.initrd"
        "nobody-knows"
        "boot.initrd.systemd.users"
      ];
    };
    group-without-number = {
      config.users.groups.some = { };
      config.sops.secrets.a.initrd = {
        enable = true;
        group = "some";
      };
      assertion = [
        "sops.secrets.a.initrd"
        "some"
        "boot.initrd.systemd.groups"
      ];
    };
    bad-credential = {
      config.sops.secrets.a.initrd = {
        enable = true;
        credential = "a/b";
      };
      assertion = [ "sops.secrets.a.initrd.credential" ];
    };
    identity-by-our-option = {
      config.sops.secrets.a = {
        path = "/var/lib/key.txt";
        initrd.enable = true;
      };
      assertion = [
        "sops.secrets.a.initrd.enable"
        "sops.initrd.allowIdentity"
      ];
    };
    identity-by-boot-initrd-secrets = {
      config.sops.secrets.a = { };
      config.boot.initrd.secrets."/etc/key.txt" = "/var/lib/key.txt";
      warning = [
        "boot.initrd.secrets"
        "/var/lib/key.txt"
      ];
    };
    identity-in-a-directory-in-initrd = {
      config.sops.secrets.a = { };
      config.boot.initrd.secrets."/etc/keys" = "/var/lib";
      warning = [
        "boot.initrd.secrets"
        "/var/lib"
      ];
    };
    secret-that-is-an-identity-in-initrd = {
      config.sops.secrets.a.path = "/var/lib/key.txt";
      config.boot.initrd.secrets."/etc/key.txt" = "/var/lib/key.txt";
      warning = [
        "boot.initrd.secrets"
        "/var/lib/key.txt"
      ];
    };
    host-key-in-initrd = {
      config.services.openssh.enable = true;
      config.boot.initrd.network.enable = true;
      config.boot.initrd.network.ssh = {
        enable = true;
        authorizedKeys = [ "x" ];
        hostKeys = [ "/etc/ssh/ssh_host_ed25519_key" ];
      };
      config.sops.secrets.a = { };
      warning = [
        "/etc/ssh/ssh_host_ed25519_key"
        "boot partition"
      ];
    };
    initrd-without-identity = {
      config.sops.initrd.age.keyFile = null;
      config.sops.secrets.a.initrd.enable = true;
      assertion = [ "sops.initrd.age.keyFile" ];
    };
    late-file-system = {
      config.fileSystems."/persist" = {
        device = "/dev/vdc";
        fsType = "ext4";
      };
      config.sops.age.keyFile = "/persist/key.txt";
      config.sops.secrets.a = { };
      warning = [
        "/persist/key.txt"
        "neededForBoot"
        "sops.useSystemdActivation"
      ];
    };
    readable-boot = {
      config.fileSystems."/boot" = {
        device = "/dev/vdb";
        fsType = "vfat";
      };
      config.sops.secrets.a.initrd.enable = true;
      warning = [
        "/boot"
        "umask=0077"
      ];
    };
    outside-store = {
      config.sops.validateSopsFiles = false;
      config.sops.secrets.a = {
        sopsFile = "/var/lib/secrets.yaml";
        initrd.enable = true;
      };
      warning = [
        "sops.secrets.a"
        "/var/lib/secrets.yaml"
      ];
    };
    placeholder-of-another-phase =
      {
        module =
          { config, ... }:
          {
            sops.secrets.a.neededForUsers = true;
            sops.secrets.b = { };
            sops.templates.t.content = "x ${config.sops.placeholder.a}";
          };
        warning = [
          "sops.templates.t"
          "a"
          "placeholder"
        ];
      };
    mock-on-a-machine = {
      config.sops.mock.enable = true;
      config.sops.secrets.a = { };
      assertion = [
        "sops.mock.enable"
        "vmVariant"
      ];
    };
    script-before-users = {
      config.systemd.sysusers.enable = true;
      config.sops.useSystemdActivation = false;
      config.sops.secrets.a = { };
      warning = [ "sops.useSystemdActivation" ];
    };
    luks-key-not-in-initrd = {
      config.boot.initrd.luks.devices.data = {
        device = "/dev/vdc";
        keyFile = "/run/secrets/a";
      };
      config.sops.secrets.a = { };
      warning = [
        "boot.initrd.luks.devices.data.keyFile"
        "sops.secrets.a.initrd.enable"
      ];
    };
    wireguard-key-not-in-initrd = {
      config.boot.initrd.systemd.network.netdevs."10-wg0" = {
        netdevConfig.Kind = "wireguard";
        netdevConfig.Name = "wg0";
        wireguardConfig.PrivateKeyFile = "/etc/wg0.key";
      };
      config.sops.secrets."wg/0".path = "/etc/wg0.key";
      warning = [
        "PrivateKeyFile"
        "sops.secrets.\"wg/0\".initrd.enable"
      ];
    };
    # And none of these says anything.
    fine-luks-key = {
      config.boot.initrd.luks.devices.data = {
        device = "/dev/vdc";
        keyFile = "/run/secrets/a";
      };
      config.sops.secrets.a.initrd.enable = true;
      silent = true;
    };
    fine = {
      config.sops.secrets.a.initrd.enable = true;
      config.sops.secrets.u.neededForUsers = true;
      silent = true;
    };
    fine-on-persist = {
      config.fileSystems."/persist" = {
        device = "/dev/vdc";
        fsType = "ext4";
        neededForBoot = true;
      };
      config.sops.age.keyFile = "/persist/key.txt";
      config.sops.secrets.a = { };
      silent = true;
    };
  };

  ours = message: lib.hasInfix "sops" message || lib.hasInfix "initrd" message;
in
lib.mapAttrs (
  _: mistake:
  let
    inherit
      (
        (evaluation.system [
          base
          { config = mistake.config or { }; }
          (mistake.module or { })
        ])
      )
      config
      ;
    failed = lib.filter ours (map (a: a.message) (lib.filter (a: !a.assertion) config.assertions));
    warnings = lib.filter ours config.warnings;
    says = parts: message: lib.all (part: lib.hasInfix part message) parts;
    got = {
      assertions = failed;
      inherit warnings;
    };
  in
  {
    actual =
      if mistake ? silent then
        failed == [ ] && warnings == [ ]
      else if mistake ? assertion then
        lib.any (says mistake.assertion) failed
      else
        # A warning is no reason to refuse.
        lib.any (says mistake.warning) warnings && failed == [ ];
    expected = true;
    inherit got;
  }
) mistakes
