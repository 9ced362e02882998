# What the module makes of secrets for the initrd and the bootloader: `checks` are expectations, `build` is built and run.
let
  evaluation = import ./evaluate.nix { };
  inherit (evaluation) lib;
  file = /. + builtins.getEnv "TEST_SECRETS";
  keyFile = builtins.getEnv "TEST_AGE_KEY";
  work = builtins.getEnv "TEST_WORK";
  data = toString ./data;
  recipient = builtins.head (builtins.match ".*public key: ([a-z0-9]+).*" (builtins.readFile ./data/key.txt));

  sops = {
    sops.defaultSopsFile = file;
    sops.age.keyFile = keyFile;
    sops.secrets.test_key = { };
    sops.secrets.luks = {
      key = "nested/test/file";
      neededForUsers = true;
    };
  };
  systemd = {
    boot.loader.systemd-boot.enable = true;
    boot.initrd.systemd.enable = true;
  };
  ssh = {
    boot.initrd.network.enable = true;
    boot.initrd.network.ssh.enable = true;
    boot.initrd.network.ssh.authorizedKeys = [ "ssh-ed25519 AAAA" ];
  };

  # Every format, owner and link that the installer is to land.
  landing =
    { config, ... }:
    {
      boot.loader.systemd-boot.enable = true;
      sops = {
        defaultSopsFile = file;
        age.keyFile = keyFile;
        hostPublicKeys = [ recipient ];
        secrets.test_key = {
          uid = 1001;
          gid = 1002;
        };
        secrets."nested/test/file" = {
          mode = "0440";
          path = "/var/lib/linked";
        };
        secrets.port = { };
        secrets.whole.key = "";
        secrets.named = {
          name = "other";
          key = "test_key";
        };
        secrets.env = {
          format = "dotenv";
          sopsFile = /. + data + "/secrets.env";
        };
        secrets.ini = {
          format = "ini";
          sopsFile = /. + data + "/secrets.ini";
        };
        secrets.bin = {
          format = "binary";
          sopsFile = /. + data + "/secrets.bin";
        };
        secrets.json = {
          format = "json";
          sopsFile = /. + data + "/secrets.json";
          key = "deep/key";
        };
        secrets.test_user.neededForUsers = true;
        templates.t = {
          content = "a=${config.sops.placeholder.named} b=${config.sops.placeholder.json}";
          mode = "0444";
        };
        templates.early = {
          content = "hash=${config.sops.placeholder.test_user}";
          neededForUsers = true;
        };
      };
    };
  # Encrypted to a machine that this is not.
  stranger = {
    imports = [ landing ];
    sops.hostPublicKeys = lib.mkForce [
      "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    ];
  };
  # A key that the file does not have.
  misspelt = {
    imports = [ landing ];
    sops.secrets.misspelt = { };
  };

  # As people have it today.
  migrated =
    { config, ... }:
    {
      imports = [
        sops
        systemd
        ssh
      ];
      boot.initrd.network.ssh.hostKeys = [ config.sops.secrets.test_key.path ];
      boot.initrd.secrets."/etc/luks/key" = config.sops.secrets.luks.path;
      boot.initrd.secrets."/etc//template" = config.sops.templates.t.path;
      boot.initrd.secrets."/stock" = "${work}/stock file";
      boot.initrd.secrets."/keys" = "${work}/stock directory";
      sops.templates.t = {
        content = "v=${config.sops.placeholder.test_key}\n";
        path = "/var/lib/elsewhere";
      };
    };
  # With our own options.
  own =
    { config, ... }:
    {
      imports = [
        sops
        systemd
      ];
      boot.initrd.systemd.network.enable = true;
      sops.secrets.test_key.initrd.enable = true;
      sops.secrets.luks.initrd = {
        enable = true;
        path = "/etc/luks/key";
        credential = "luks";
      };
      sops.templates.wg = {
        content = "k=${config.sops.placeholder.test_key}\n";
        initrd = {
          enable = true;
          path = "/etc/systemd/network/wg.key";
          owner = "systemd-network";
          mode = "0440";
        };
      };
    };
  scripted = {
    imports = [ sops ];
    boot.loader.grub.enable = true;
    boot.loader.grub.device = "/dev/vda";
    boot.initrd.systemd.enable = false;
    sops.secrets.test_key.initrd = {
      enable = true;
      path = "/root/a/b";
    };
  };
  bootloader =
    { config, ... }:
    {
      imports = [ sops ];
      boot.loader.external = {
        enable = true;
        installHook = evaluation.pkgs.writeShellScript "hook" ''
          cp -rL /run/secrets-for-bootloader "${work}/seen"
          echo "$@" > "${work}/arguments"
          exit "''${HOOK_STATUS-0}"
        '';
      };
      sops.secrets.sign = {
        key = "test_key";
        neededForBootloader = true;
      };
      sops.templates.grub = {
        content = "pw ${config.sops.placeholder.sign}";
        neededForBootloader = true;
      };
    };
  grubPassword =
    { config, ... }:
    {
      imports = [ sops ];
      boot.loader.grub = {
        enable = true;
        device = "/dev/vda";
        users.admin.passwordFile = config.sops.secrets.grub.path;
      };
      sops.secrets.grub = {
        key = "test_key";
        neededForBootloader = true;
      };
    };
  checked = {
    imports = (import ./stubs evaluation.tree).preSwitchChecks;
  };

  configurations = {
    inherit
      landing
      stranger
      misspelt
      migrated
      own
      scripted
      bootloader
      grubPassword
      mockLanding
      ;
    migratedChecked.imports = [
      migrated
      checked
    ];
    grubOwn = {
      imports = [ own ];
      boot.loader.systemd-boot.enable = lib.mkForce false;
      boot.loader.grub.enable = true;
      boot.loader.grub.device = "/dev/vda";
    };
    limine = {
      imports = [
        own
      ]
      ++ lib.optional (
        !(builtins.pathExists (evaluation.tree + "/nixos/modules/system/boot/loader/limine"))
      ) ./stubs/limine.nix;
      boot.loader.systemd-boot.enable = lib.mkForce false;
      boot.loader.limine.enable = true;
    };
    directory = {
      imports = [
        sops
        systemd
      ];
      sops.secrets."ssh/a".key = "test_key";
      sops.secrets."ssh/b/c".key = "test_key";
      sops.secrets."ssh-not".key = "test_key";
      boot.initrd.secrets."/keys" = "/run/secrets/ssh";
    };
    # Without sops files in the initrd.
    none.imports = [
      sops
      systemd
    ];
    stockOnly = {
      imports = [
        sops
        systemd
      ];
      boot.initrd.secrets."/x" = "/y";
      boot.initrd.secrets."/z" = "${evaluation.pkgs.writeText "z" ""}";
    };
    # What other modules of NixOS make of a path.
    clevisAndOpenvpn =
      { config, ... }:
      {
        imports = [
          sops
          systemd
        ];
        boot.initrd.luks.devices.root.device = "/dev/vdb";
        boot.initrd.clevis.enable = true;
        boot.initrd.clevis.devices.root.secretFile = config.sops.secrets.test_key.path;
        boot.initrd.network.enable = true;
        boot.initrd.network.openvpn.enable = true;
        boot.initrd.network.openvpn.configuration = config.sops.secrets.luks.path;
      };
    units = {
      imports = [
        sops
        systemd
      ]
      ++ (import ./stubs evaluation.tree).userborn;
      services.userborn.enable = true;
    };
    ownIdentities = {
      imports = [ own ];
      sops.initrd.age.keyFile = "/var/lib/initrd.txt";
      sops.initrd.age.sshKeyPaths = [ ];
    };
    specialised = {
      imports = [ own ];
      specialisation.more.configuration.sops.secrets.more = {
        key = "test_key";
        initrd.enable = true;
      };
    };
    mock = {
      imports = [
        own
        (evaluation.tree + "/nixos/modules/virtualisation/qemu-vm.nix")
      ];
      virtualisation.useBootLoader = false;
      sops.mock.enable = true;
      sops.mock.values.luks = "shape";
    };
  };
  # Dummies of every shape; what is landed of them is looked at.
  mockLanding = {
    imports = [
      landing
      (evaluation.tree + "/nixos/modules/virtualisation/qemu-vm.nix")
    ];
    sops.mock.enable = true;
    sops.mock.values.test_user = "$6$hash";
  };
  renamed =
    name:
    evaluation.pkgs.callPackage ../../packaging/nix/renamed.nix {
      forestage = evaluation.package;
      inherit name;
    };
  systems = lib.mapAttrs (_: configuration: evaluation.system [ configuration ]) configurations;
  configs = lib.mapAttrs (_: system: system.config) systems;

  whole = { inherit (configs) migrated own scripted bootloader grubPassword specialised mock; };

  manifestOf =
    config: builtins.fromJSON (builtins.unsafeDiscardStringContext config.system.build.forestage-initrd-manifest.text);
  filesOf = config: map (f: removeAttrs f [ "uid" "gid" ]) (manifestOf config).files;
  stage1 = config: config.boot.initrd.systemd.services.forestage-stage1;
  appenderOf = config: "${config.system.build.initialRamdiskSecretAppender}/bin/append-initrd-secrets";
  stockAppender = config: !(lib.hasInfix "initrd append" (
      builtins.unsafeDiscardStringContext config.system.build.initialRamdiskSecretAppender.text
    ));
  failed = config: map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
in
{
  inherit systems configs;

  build = {
    migrated = configs.migrated.system.build.initialRamdiskSecretAppender;
    own = configs.own.system.build.initialRamdiskSecretAppender;
    scripted = configs.scripted.system.build.initialRamdiskSecretAppender;
    boot = evaluation.pkgs.runCommand "boot" { } "mkdir $out; ${configs.own.boot.bootspec.writer}";
    initrd = configs.own.system.build.initialRamdisk;
    bootloader = configs.bootloader.system.build.installBootLoader;
    manifest = configs.landing.system.build.sops-nix-manifest;
    usersManifest = configs.landing.system.build.sops-nix-users-manifest;
    stranger = configs.stranger.system.build.sops-nix-manifest;
    misspelt = configs.misspelt.system.build.sops-nix-manifest;
    mockManifest = configs.mockLanding.system.build.sops-nix-manifest;
    mockUsersManifest = configs.mockLanding.system.build.sops-nix-users-manifest;
    sshToAge = renamed "ssh-to-age";
    sshToPgp = renamed "ssh-to-pgp";
    check = configs.migratedChecked.system.preSwitchChecksScript;
    dryRun = configs.migrated.system.build.installBootLoader;
  };

  checks = {
    "an entry whose source is a secret becomes that secret" = {
      actual = filesOf configs.migrated;
      expected = [
        {
          target = "/etc/template";
          template = "t";
          mode = "0400";
        }
        {
          target = "/etc/luks/key";
          secret = "luks";
          mode = "0400";
        }
        {
          target = "/run/secrets/test_key";
          secret = "test_key";
          mode = "0400";
        }
        {
          target = "/keys";
          source = "${work}/stock directory";
        }
        {
          target = "/stock";
          source = "${work}/stock file";
        }
      ];
    };
    "no own entry where others are" = {
      actual = lib.attrNames configs.migrated.boot.initrd.secrets;
      expected = [
        "/etc//template"
        "/etc/luks/key"
        "/keys"
        "/run/secrets/test_key"
        "/stock"
      ];
    };
    "a directory of secrets becomes each of them" = {
      actual = filesOf configs.directory;
      expected = [
        {
          target = "/keys/a";
          secret = "ssh/a";
          mode = "0400";
        }
        {
          target = "/keys/b/c";
          secret = "ssh/b/c";
          mode = "0400";
        }
      ];
    };
    "entries of clevis and of openvpn" = {
      actual = map (file: { inherit (file) target secret; }) (filesOf configs.clevisAndOpenvpn);
      expected = [
        {
          target = "/etc/clevis/root.jwe";
          secret = "test_key";
        }
        {
          target = "/etc/initrd.ovpn";
          secret = "luks";
        }
      ];
    };
    "an own entry where none is" = {
      actual = lib.attrNames configs.own.boot.initrd.secrets;
      expected = [ "/etc/forestage/entry" ];
    };
    "our own options" = {
      actual = (manifestOf configs.own).files;
      expected = [
        {
          target = "/etc/luks/key";
          secret = "luks";
          mode = "0400";
          uid = 0;
          gid = 0;
          credential = "luks";
        }
        {
          target = "/run/secrets/test_key";
          secret = "test_key";
          mode = "0400";
          uid = 0;
          gid = 0;
        }
        {
          target = "/etc/systemd/network/wg.key";
          template = "wg";
          mode = "0440";
          uid = 152;
          gid = 152;
        }
      ];
    };
    "directories that the initrd lacks" = {
      actual = {
        migrated = (manifestOf configs.migrated).directories;
        own = (manifestOf configs.own).directories;
        scripted = (manifestOf configs.scripted).directories;
      };
      expected = {
        migrated = [
          {
            path = "/etc/luks";
            mode = "0755";
          }
        ];
        own = [
          {
            path = "/etc/luks";
            mode = "0755";
          }
          {
            path = "/etc/systemd/network";
            mode = "0755";
          }
        ];
        scripted = [
          {
            path = "/root";
            mode = "0700";
          }
          {
            path = "/root/a";
            mode = "0755";
          }
        ];
      };
    };
    "the manifest has only what is needed" = {
      actual = map (s: s.name) (manifestOf configs.scripted).secrets;
      expected = [ "test_key" ];
    };
    "base is the initrd of this system" = {
      actual = (manifestOf configs.own).base;
      expected = builtins.unsafeDiscardStringContext "${configs.own.system.build.initialRamdisk}/initrd";
    };
    "the appender finds what limine keeps" = {
      actual = map (config: builtins.match ".* --kept ([^ ]*) .*" (lib.replaceStrings [ "\n" "'" ] [ " " "" ] config.system.build.initialRamdiskSecretAppender.text)) [
        configs.limine
        configs.migrated
      ];
      expected = [
        [ "/boot/limine/kernels" ]
        null
      ];
    };
    "what passes through a temporary file of limine stays in RAM" = {
      actual =
        map (config: lib.hasInfix "export TMPDIR=/run" (config.system.build.installBootLoader.text or ""))
          [
            configs.limine
            configs.migrated
          ];
      expected = [
        true
        false
      ];
    };
    "the appender names no system" = {
      actual = lib.hasInfix "nixos-system" (builtins.unsafeDiscardStringContext configs.own.system.build.initialRamdiskSecretAppender.text);
      expected = false;
    };
    "each specialisation has its own" = {
      actual =
        appenderOf configs.specialised != appenderOf configs.specialised.specialisation.more.configuration;
      expected = true;
    };
    "stage 1" = {
      actual = {
        inherit (stage1 configs.own) wantedBy before conflicts;
        defaults = (stage1 configs.own).unitConfig.DefaultDependencies;
        exec = (stage1 configs.own).serviceConfig.ExecStart;
        stored = lib.elem "${evaluation.package}/bin/forestage" (
          map (p: p.source or p) configs.own.boot.initrd.systemd.storePaths
        );
      };
      expected = {
        wantedBy = [ "sysinit.target" ];
        before = [
          "sysinit.target"
          "initrd-nixos-copy-secrets.service"
          "cryptsetup-pre.target"
          "systemd-networkd.service"
          "network-pre.target"
          "sshd.service"
          "sysroot.mount"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        defaults = false;
        exec = "${evaluation.package}/bin/forestage stage1";
        stored = true;
      };
    };
    "the initrd knows what to expect" = {
      actual = {
        list = builtins.fromJSON configs.own.boot.initrd.systemd.contents."/etc/forestage/initrd.json".text;
        keep = configs.own.boot.initrd.systemd.contents ? "/.initrd-secrets/.forestage-keep";
      };
      expected = {
        keep = true;
        list = {
          version = 1;
          symlinkPath = "/run/secrets";
          files = [
            {
              name = "luks";
              target = "/etc/luks/key";
            }
            {
              name = "test_key";
              target = "/run/secrets/test_key";
            }
            {
              name = "wg";
              target = "/etc/systemd/network/wg.key";
            }
          ];
        };
      };
    };
    "the digest is in the initrd only where builders append in place" = {
      actual = map (config: config.boot.initrd.systemd.contents ? "/etc/forestage/manifest-digest") [
        configs.own
        configs.grubOwn
      ];
      expected = [
        (!(
          systems.own.options.boot.loader.systemd-boot ? bootCounting
          && systems.own.options.system.boot ? extraInitrd
        ))
        false
      ];
    };
    "the scripted initrd has the same" = {
      actual = {
        files = lib.sort lib.lessThan (
          lib.filter (lib.hasInfix "forestage") (lib.attrNames configs.scripted.boot.initrd.extraFiles)
        );
        runs = lib.hasInfix "forestage stage1" configs.scripted.boot.initrd.preDeviceCommands;
        binary = lib.hasInfix "/bin/forestage" configs.scripted.boot.initrd.extraUtilsCommands;
      };
      expected = {
        files = [
          "/.initrd-secrets/.forestage-keep"
          "/etc/forestage/initrd.json"
        ];
        runs = true;
        binary = true;
      };
    };
    "without initrd secrets all is stock" = {
      actual = map (config: {
        appender = stockAppender config;
        unit = config.boot.initrd.systemd.services ? forestage-stage1;
        contents = lib.filter (lib.hasInfix "forestage") (lib.attrNames config.boot.initrd.systemd.contents);
        secrets = lib.attrNames config.boot.initrd.secrets;
      }) [
        configs.none
        configs.stockOnly
      ];
      expected = [
        {
          appender = true;
          unit = false;
          contents = [ ];
          secrets = [ ];
        }
        {
          appender = true;
          unit = false;
          contents = [ ];
          secrets = [
            "/x"
            "/z"
          ];
        }
      ];
    };
    "a target in every mode" = {
      actual = map (config: { inherit (config.systemd.targets.sops-secrets) wantedBy wants after; }) [
        configs.none
        configs.units
      ];
      expected =
        map
          (units: {
            wantedBy = [ "sysinit.target" ];
            wants = units;
            after = units;
          })
          [
            [ ]
            [
              "sops-install-secrets.service"
              "sops-install-secrets-for-users.service"
            ]
          ];
    };
    "identities of the initrd are apart" = {
      actual = {
        initrd = (manifestOf configs.ownIdentities).ageKeyFile;
        system =
          (builtins.fromJSON (
            builtins.unsafeDiscardStringContext configs.ownIdentities.system.build.sops-nix-manifest.text
          )).ageKeyFile;
      };
      expected = {
        initrd = "/var/lib/initrd.txt";
        system = keyFile;
      };
    };
    "the installer is wrapped, and found" = {
      actual = {
        text = lib.hasInfix "grub" configs.grubPassword.system.build.installBootLoader.text;
        path = configs.grubPassword.sops.secrets.grub.path;
        notInSystem = map (s: s.name) (builtins.fromJSON (
          builtins.unsafeDiscardStringContext configs.grubPassword.system.build.sops-nix-manifest.text
        )).secrets;
        stock = lib.hasInfix "forestage-install-bootloader" (toString configs.none.system.build.installBootLoader);
      };
      expected = {
        text = true;
        path = "/run/secrets-for-bootloader/grub";
        notInSystem = [ "test_key" ];
        stock = false;
      };
    };
    "the check is where there is a hook, else in the wrapper" = {
      actual = {
        hook = lib.attrNames configs.migratedChecked.system.preSwitchChecks;
        wrapped = map (config: lib.hasInfix "forestage-dry-run" (config.system.build.installBootLoader.text or "")) [
          configs.migratedChecked
          configs.migrated
          configs.none
        ];
      };
      expected = {
        hook = [ "forestage" ];
        wrapped = [
          false
          # Where the tree has the hook, nobody needs the wrapper.
          (checked.imports != [ ])
          false
        ];
      };
    };
    "dummies in virtual machines" = {
      actual = {
        stock = stockAppender configs.mock;
        file = configs.mock.boot.initrd.systemd.contents."/.initrd-secrets/etc/luks/key".text;
        template = configs.mock.boot.initrd.systemd.contents."/.initrd-secrets/etc/systemd/network/wg.key".text;
        failed = failed configs.mock;
        warned = lib.any (lib.hasInfix "sops.mock.enable") configs.mock.warnings;
      };
      expected = {
        stock = true;
        file = "shape";
        template = "k=mock value of test_key\n";
        failed = [ ];
        warned = true;
      };
    };
    "nothing fails to evaluate" = {
      actual = lib.mapAttrs (
        _: config: failed config != [ ] || !(lib.isString config.system.build.toplevel.drvPath)
      ) whole;
      expected = lib.mapAttrs (_: _: false) whole;
    };
  };
}
