# Generations for the installers of boot loaders: whole toplevels of real NixOS modules, and the real installers with their
# substitutions filled by the modules that ship them.
#
# Real are the installers, boot.json, the appender, the wrapper, the manifests and the commands of top-level.nix; stand-ins
# are the kernel, what the initrd begins with, /etc, the system's path, bootctl and grub-install.
{
  # systemd-boot-2024, systemd-boot-2025, systemd-boot-2026, grub, limine.
  loader,
}:
let
  env = builtins.getEnv;
  keys = env "TEST_KEYS";
  work = env "TEST_WORK";
  data = toString ../data;
  newerInstaller = name: /. + env "LOADER_INSTALLERS" + "/${name}";

  stock = import (env "NIXPKGS_LIB");
  # Our module asks for the release, to know whether the builder of systemd-boot appends in place.
  lib =
    if loader == "systemd-boot-2026" then
      stock // { trivial = stock.trivial // { release = "26.05"; }; }
    else
      stock;

  packages =
    base:
    let
      host = name: prefix: {
        type = "derivation";
        outPath = prefix;
        outputName = "out";
        inherit name;
        pname = name;
        drvPath = builtins.unsafeDiscardStringContext base.hello.drvPath;
        outputs = [ "out" ];
        version = "2.18.1";
        meta.mainProgram = name;
        override = _: host name prefix;
        withPackages = _: host name prefix;
        out = host name prefix;
        bin = host name prefix;
      };
      built = name: fake: command: fake // { outPath = "${base.runCommand name { } command}"; };
      # A package that is there, with nothing in it.
      empty = name: base.runCommand name { } "mkdir $out" // { override = args: empty (args.name or name); };

      # @name@ is replaced as nixpkgs does it: true is 1, false and null are nothing.
      substitute =
        src: args:
        let
          asText = value: if value == true then "1" else if value == false || value == null then "" else toString value;
          replacements = removeAttrs args [ "src" "name" "dir" "isExecutable" "replacements" ];
          names = lib.attrNames replacements;
          replaced =
            lib.replaceStrings (map (name: "@${name}@") names) (map (name: asText replacements.${name}) names)
              (builtins.readFile src);
        in
        base.writeTextFile {
          name = args.name or (baseNameOf (toString src));
          text = replaced;
          executable = args.isExecutable or false;
        };
      # What the tree says of the builder, and what those that came later want besides.
      builder =
        if loader == "systemd-boot-2024" then
          env "NIXOS_TREE" + "/nixos/modules/system/boot/loader/systemd-boot/systemd-boot-builder.py"
        else if loader == "systemd-boot-2025" then
          newerInstaller "systemd-boot-builder-2025.py"
        else
          newerInstaller "systemd-boot-builder-2026.py";
      substituteAll =
        args:
        if args.name or "" == "systemd-boot" then
          substitute builder (
            args
            // {
              storeDir = "/nix/store";
              rebootForBitlocker = false;
            }
          )
        else
          substitute args.src args;

      linuxPackages = base.linuxPackages // {
        kernel = built "linux-6.12" base.linuxPackages.kernel "mkdir $out; head -c 20000 /dev/zero > $out/bzImage";
        extend = _: linuxPackages;
      };
      # Compressed bytes that nobody can tell from those of an initrd, and that differ where its contents do.
      makeInitrdNG =
        args:
        base.makeInitrdNG args
        // {
          outPath = "${base.runCommand args.name
            { text = builtins.toJSON (map (content: { target = content.target or ""; text = content.text or ""; source = builtins.unsafeDiscardStringContext (toString content.source); }) args.contents); }
            ''
              mkdir $out root
              echo "$text" > root/contents
              head -c 200000 /usr/bin/env > root/filler
              (cd root && find . | cpio -o -H newc -R 0:0 --quiet --reproducible | gzip -n) > $out/initrd
            ''
          }";
        };
      mkDerivation =
        args:
        if args ? buildCommand then
          let
            drv = derivation (
              removeAttrs args [ "meta" "passthru" ]
              // {
                inherit (base) system;
                name = lib.strings.sanitizeDerivationName args.name;
                builder = "/bin/bash";
                PATH = "${./programs}:/usr/bin:/bin";
                args = [ "-c" "set -e; eval \"$buildCommand\"; :" ];
              }
            );
          in
          drv
          // {
            inherit args;
            passthru = args.passthru or { };
            overrideAttrs = f: mkDerivation (args // f args);
          }
        else
          base.mkDerivation args;
    in
    lib.genAttrs [ "findutils" "gzip" "zstd" "libarchive" "gnused" "gnugrep" "diffutils" "btrfs-progs" "mdadm" "efibootmgr" "bootspec" ] (name: host name "/usr")
    // {
      inherit linuxPackages makeInitrdNG substituteAll;
      replaceVarsWith = args: substitute args.src (args // args.replacements);
      stdenvNoCC = base.stdenvNoCC // { inherit mkDerivation; };
      systemd = built "systemd-255" base.systemd ''
        mkdir -p $out/bin $out/lib/systemd
        install -m 755 ${./programs/bootctl} $out/bin/bootctl
        echo systemd > $out/lib/systemd/systemd
      '';
      grub2 = built "grub-2.12" base.grub2 ''
        mkdir -p $out/sbin
        install -m 755 ${./programs/grub-install} $out/sbin/grub-install
      '';
      limine = built "limine-9" base.limine ''
        mkdir -p $out/bin $out/share/limine
        echo limine > $out/share/limine/BOOTX64.EFI
      '';
      python3 = host "python3" (env (if loader == "limine" then "TEST_PYTHON_PSUTIL" else "TEST_PYTHON"));
      perl = host "perl" "/usr";
      nix = host "nix" "/usr";
      util-linuxMinimal = host "util-linux" "/usr";
      mypy = host "true" "/usr";
      buildEnv = args: empty (args.name or "env");
      aggregateModules = _: empty "modules";
    };

  evaluation = import ../evaluate.nix {
    inherit lib packages;
  };

  common =
    { config, pkgs, ... }:
    {
      imports = [
        ../stubs/limine.nix
      ];
      nixpkgs.hostPlatform = "x86_64-linux";
      fileSystems."/boot" = {
        device = "/dev/vda1";
        fsType = "vfat";
        options = [ "umask=0077" ];
      };
      boot.initrd.systemd.enable = true;
      boot.loader.timeout = 5;
      boot.loader.systemd-boot.enable = lib.hasPrefix "systemd-boot" loader;
      boot.loader.grub = lib.mkIf (loader == "grub") {
        enable = lib.mkForce true;
        device = "/dev/null";
        fsIdentifier = "provided";
        splashImage = null;
        font = null;
      };
      boot.loader.limine = lib.mkIf (loader == "limine") {
        enable = true;
        installer = newerInstaller "limine-install.py";
      };
      # What a toplevel has besides what is booted.
      system.activatable = false;
      system.checks = lib.mkForce [ ];
      system.extraDependencies = lib.mkForce [ ];
      i18n.glibcLocales = lib.mkForce (pkgs.runCommand "locales" { } "mkdir $out");
      system.build.etc = lib.mkForce (pkgs.runCommand "etc" { } "mkdir -p $out/etc");
      system.build.bootStage2 = lib.mkForce (pkgs.writeText "stage-2" "@systemConfig@");
      hardware.firmware = lib.mkForce [ ];
    };

  # Secrets that the initrd takes by their paths, one of our own options, and a stock entry beside them.
  secrets =
    { config, ... }:
    {
      imports = [ common ];
      sops.defaultSopsFile = lib.mkDefault (/. + data + "/secrets.yaml");
      sops.secrets.test_key = { };
      sops.secrets.luks.key = "nested/test/file";
      boot.initrd.network.enable = true;
      boot.initrd.network.ssh = {
        enable = true;
        authorizedKeys = [ "ssh-ed25519 AAAA" ];
        hostKeys = [ config.sops.secrets.test_key.path ];
      };
      sops.secrets.luks.initrd = {
        enable = true;
        path = "/etc/luks/key";
        mode = "0440";
      };
      boot.initrd.secrets."/stock" = "${work}/stock file";
    };
  generations = {
    first = {
      imports = [ secrets ];
      sops.age.keyFile = "${keys}/one.txt";
    };
    rotated = {
      imports = [ secrets ];
      sops.age.keyFile = "${keys}/two.txt";
      sops.defaultSopsFile = /. + data + "/rotated.yaml";
    };
    # The same initrd and the same secrets, another system.
    shared = {
      imports = [ generations.rotated ];
      boot.kernelParams = [ "shared" ];
    };
    # Nothing for the initrd.
    without = {
      imports = [ common ];
      sops.age.keyFile = "${keys}/two.txt";
      sops.defaultSopsFile = /. + data + "/rotated.yaml";
      sops.secrets.test_key = { };
    };
    # With a sops file that no store keeps.
    outside = {
      imports = [ secrets ];
      sops.age.keyFile = "${keys}/two.txt";
      sops.validateSopsFiles = false;
      sops.defaultSopsFile = lib.mkForce "${work}/outside.yaml";
    };
    # Two in one.
    special = {
      imports = [ generations.rotated ];
      specialisation.more.configuration.sops.secrets.test_user.initrd = {
        enable = true;
        path = "/etc/more";
      };
    };
    # An installer that needs a secret, and secrets for the initrd.
    bootloader =
      { config, ... }:
      let
        install = ''
          cat ${config.sops.secrets.port.path} > ${work}/seen
          echo "$@" > ${work}/arguments
        '';
      in
      {
        imports = [ generations.rotated ];
        sops.secrets.port.neededForBootloader = true;
        boot.loader.systemd-boot.extraInstallCommands = install;
        boot.loader.grub.extraInstallCommands = install;
      };
  };
in
# Where the parts of each generation are; to build this file is to build them all.
evaluation.pkgs.writeText "generations-${loader}" (
  builtins.toJSON (
    lib.mapAttrs (
      _: module:
      let
        inherit (evaluation.system [ module ]) config;
      in
      {
        toplevel = "${config.system.build.toplevel}";
        installer = "${config.system.build.installBootLoader}";
        appender = "${config.system.build.initialRamdiskSecretAppender}/bin/append-initrd-secrets";
        manifest = "${config.system.build.forestage-initrd-manifest or ""}";
      }
    ) generations
  )
)
