# A stand-in for nixpkgs' package set, for evaluating NixOS where there is none: the builders of texts are real (each is a
# derivation that /bin/sh and coreutils can build without a sandbox), every other name is a fake package.
#
# What it is good for: manifests, units, activation scripts, boot.json, appenders, wrappers. Nothing of it boots.
{
  lib,
  # The names of packages: every word that occurs in the modules, one a line.
  names,
  system ? "x86_64-linux",
  # Packages that are real.
  packages ? { },
}:

let
  # What derivations are built with: the host's shell. Text builders need nothing else.
  sh = "/bin/sh";
  hostPath = "/usr/local/bin:/usr/bin:/bin";

  storeName = name: builtins.unsafeDiscardStringContext (lib.strings.sanitizeDerivationName name);

  # One file, or a tree with one file.
  writeTextFile =
    args@{
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      ...
    }:
    let
      plain = derivation {
        name = storeName name;
        inherit
          system
          text
          checkPhase
          destination
          ;
        builder = sh;
        PATH = hostPath;
        executable = if executable then "1" else "";
        passAsFile = [
          "text"
          "checkPhase"
        ];
        args = [
          "-c"
          ''
            target=$out$destination
            mkdir -p "$(dirname "$target")"
            cat "$textPath" > "$target"
            if [ -n "$executable" ]; then chmod +x "$target"; fi
            set -e
            . "$checkPhasePath"
          ''
        ];
      };
    in
    plain
    // {
      inherit text;
      meta.mainProgram = baseNameOf destination;
      passthru = { };
      overrideAttrs = f: writeTextFile (args // f args);
    };

  writeText = name: text: writeTextFile { inherit name text; };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
    };
  shebang = "#!${self.runtimeShell}\n";

  runCommand =
    name: env: command:
    derivation (
      {
        name = storeName name;
        inherit system;
        builder = "/bin/bash";
        PATH = hostPath;
        # The shell stays until the end: a last program in its place closes its output before it is gone, and nix takes
        # that for the end and kills it.
        args = [
          "-c"
          "set -e; ${command}\n:"
        ];
      }
      // removeAttrs env [
        "meta"
        "passthru"
        "nativeBuildInputs"
        "buildInputs"
      ]
    )
    // {
      inherit command;
      meta = { };
      passthru = env.passthru or { };
    };

  # A derivation with nothing in it.
  fake =
    named:
    let
      name = storeName named;
      drv = derivation {
        inherit name system;
        builder = sh;
        args = [
          "-c"
          "echo ${name} is a stand-in > $out"
        ];
      } // { inherit version; };
    in
    drv
    // {
      pname = name;
      version = "6.12";
      meta = {
        mainProgram = name;
        platforms = [ system ];
      };
      passthru = { };
      override = _: fake name;
      overrideAttrs = _: fake name;
      overrideDerivation = _: fake name;
      __functor = _: _: fake name;
      withPackages = _: fake name;
      extend = _: fake name;
      # The outputs.
      out = drv;
      bin = drv;
      lib = drv;
      dev = drv;
      man = drv;
      doc = drv;
      info = drv;
      shellPath = "/bin/${name}";
      modDirVersion = "6.12";
      # What NixOS asks of systemd.
      kmod = drv // {
        inherit version;
      };
      util-linux = drv;
      su = drv;
      mount = drv;
      login = drv;
      lib32 = drv;
      terminfo = drv;
      modules = drv;
      nscd = drv;
      p11kit = drv;
      ga = drv;
      fd = drv;
      kbd = drv // {
        gzip = drv;
      };
      libfido2 = drv;
      cryptsetup = drv;
      tpm2-tss = drv;
      unbundled = drv;
      hwdb = drv;
      fonts = drv;
      data = drv;
      client = drv;
      server = drv;
      withTpm2Tss = false;
      withTpm2Units = false;
      withEfi = true;
      withCryptsetup = true;
      withCompression = true;
      withCoredump = true;
      withDocumentation = false;
      withHostnamed = true;
      withHwdb = true;
      withImportd = true;
      withLocaled = true;
      withLogind = true;
      withMachined = true;
      withNetworkd = true;
      withNss = true;
      withOomd = true;
      withPam = true;
      withPortabled = true;
      withRemote = true;
      withRepart = true;
      withResolved = true;
      withSysupdate = true;
      withTimedated = true;
      withTimesyncd = true;
      withUserDb = true;
      withUtmp = true;
      withVmspawn = true;
      withHomed = true;
      withAudit = true;
      withAcl = true;
      withApparmor = true;
      withPolkit = true;
      withLibBPF = true;
      withBootloader = true;
      withSysusers = true;
      withSysinstall = true;
      withUkify = true;
      withKexectools = true;
      withFido2 = true;
      interfaceVersion = 2;
      # What it asks of a kernel.
      kernelOlder = _: false;
      kernelAtLeast = _: true;
      features.efiBootStub = true;
      features.ia32Emulation = true;
      config = {
        isSet = _: true;
        isYes = _: true;
        isNo = _: true;
        isModule = _: true;
        isEnabled = _: true;
        isDisabled = _: true;
      };
      stdenv = self.stdenv;
      kernelPatches = [ ];
      enabledCryptSchemeIds = [ "y" "6" ];
      libc = drv;
      cc = drv // {
        libc = drv;
      };
    };
  version = "6.12";

  stdenv = {
    inherit (self)
      hostPlatform
      buildPlatform
      targetPlatform
      mkDerivation
      ;
    cc = fake "cc" // {
      bintools.dynamicLinker = "/lib64/ld-linux-x86-64.so.2";
    };
    shell = "/bin/bash";
    isLinux = true;
    isDarwin = false;
    inherit (self.hostPlatform) is64bit isx86_64 isAarch64;
    inherit system;
  };

  # Never built either, but everything that it is given is evaluated.
  mkDerivation =
    args:
    let
      plain =
        value:
        lib.isString value
        || lib.isInt value
        || lib.isBool value
        || builtins.isPath value
        || lib.isDerivation value
        || (lib.isList value && lib.all plain value);
      given = removeAttrs args [
        "meta"
        "passthru"
      ];
    in
    fake (args.name or args.pname)
    // derivation (
      lib.filterAttrs (_: plain) given
      // {
        name = storeName (args.name or args.pname);
        inherit system;
        builder = sh;
      }
    )
    // {
      inherit args;
      passthru = args.passthru or { };
    };

  # An initrd with nothing in it; what it is to contain is evaluated all the same.
  makeInitrd =
    args:
    let
      contents = lib.concatMap (
        content:
        lib.filter (value: value != null) [
          (content.object or content.source or content)
          (content.symlink or content.target or "")
        ]
      ) args.contents;
    in
    derivation {
      inherit (args) name;
      inherit system;
      contents = map (value: builtins.unsafeDiscardStringContext (toString value)) contents;
      builder = sh;
      PATH = hostPath;
      args = [
        "-c"
        "mkdir $out && cd /var/empty 2>/dev/null || cd /; : | cpio -o -H newc > $out/initrd 2>/dev/null; echo \"$contents\" > $out/contents"
      ];
    }
    // {
      inherit (args) contents;
      compressorExecutableFunction = p: "${p.zstd}/bin/zstd";
      compressorArgs = [ "-19" ];
    };

  linuxPackages = fake "linux-packages" // {
    kernel = fake "linux";
    extend = _: linuxPackages;
    recurseForDerivations = true;
  };

  # Real programs of the host: what scripts name to be run.
  host = name: {
    type = "derivation";
    outPath = "/usr";
    outputName = "out";
    inherit name;
    pname = name;
    drvPath = builtins.unsafeDiscardStringContext (fake name).drvPath;
    outputs = [ "out" ];
    version = "1";
    meta.mainProgram = name;
    shellPath = "/bin/${name}";
    override = _: host name;
    out = host name;
    bin = host name;
  };

  # `with pkgs;` hides `with lib;`.
  fakes = lib.genAttrs (lib.filter (n: n != "" && !(lib ? ${n})) (lib.splitString "\n" names)) fake;

  self =
    fakes
    // {
      _type = "pkgs";
      inherit lib stdenv system;
      path = /. + "nixpkgs-is-not-here";
      config = {
        allowUnfree = true;
        allowAliases = true;
      };
      overlays = [ ];
      appendOverlays = overlays: self // lib.foldl' (acc: o: acc // o (self // acc) (self // acc)) { } overlays;
      extend = o: self.appendOverlays [ o ];
      hostPlatform = {
        # A lib of 2026 has no more of it, and modules of 2024 ask for it.
        linux-kernel = {
          name = "pc";
          target = "bzImage";
        };
      }
      // lib.systems.elaborate system;
      buildPlatform = self.hostPlatform;
      targetPlatform = self.hostPlatform;
      pkgsBuildHost = self;
      buildPackages = self;
      targetPackages = self;
      __splicedPackages = self;
      pkgsStatic = self;
      pkgsi686Linux = self;
      callPackage = self.newScope { };
      callPackages = self.callPackage;
      newScope =
        scope: f: args:
        let
          g = if lib.isFunction f then f else import f;
        in
        lib.makeOverridable g (
          # An argument with a default is none of the fakes: their names are all words there are.
          builtins.intersectAttrs (lib.filterAttrs (_: optional: !optional) (lib.functionArgs g)) (
            self // scope
          )
          // args
        );
      runtimeShell = "/bin/bash";
      runtimeShellPackage = host "bash";
      bash = host "bash";
      bashInteractive = host "bash";
      coreutils = host "coreutils";
      util-linux = host "util-linux";
      gnupg = host "gnupg";
      jq = host "jq";
      # A directory with bin/sops, for dummies that are built.
      sops = if builtins.getEnv "TEST_SOPS" == "" then fake "sops" else host "sops" // { outPath = builtins.getEnv "TEST_SOPS"; };
      stdenvNoCC = stdenv;
      inherit mkDerivation;
      inherit
        writeText
        writeTextFile
        writeScript
        writeScriptBin
        runCommand
        ;
      runCommandLocal = runCommand;
      runCommandNoCC = runCommand;
      writeShellScript = name: text: writeScript name (shebang + text);
      writeShellScriptBin = name: text: writeScriptBin name (shebang + text);
      writeShellApplication =
        {
          name,
          text,
          runtimeInputs ? [ ],
          ...
        }:
        writeScriptBin name (
          "#!/bin/bash\nset -o errexit\nset -o nounset\nset -o pipefail\n"
          + lib.optionalString (
            runtimeInputs != [ ]
          ) "export PATH=\"${lib.makeBinPath runtimeInputs}:$PATH\"\n"
          + text
        );
      writeTextDir =
        path: text:
        writeTextFile {
          name = baseNameOf path;
          inherit text;
          destination = "/${path}";
        };
      writers = self // {
        writeBash = self.writeShellScript;
        writePython3 = name: _: text: writeScript name text;
        writePython3Bin = name: _: text: writeScriptBin name text;
      };
      concatText = name: files: runCommand name { } "cat ${toString files} > $out";
      symlinkJoin = args: fake (args.name or "join");
      buildEnv = args: fake (args.name or "env");
      linkFarm =
        name: entries:
        fake name
        // {
          entries = if lib.isAttrs entries then entries else lib.listToAttrs (map (e: lib.nameValuePair e.name e.path) entries);
        };
      linkFarmFromDrvs = name: _: fake name;
      substituteAll = args: fake (args.name or (baseNameOf (toString args.src)));
      replaceVars = src: args: fake (baseNameOf (toString src)) // { replaced = args; };
      replaceVarsWith = args: fake (args.name or (baseNameOf (toString args.src))) // { replaced = args; };
      makeSetupHook = args: script: fake (args.name or "hook") // { inherit script; inherit args; };
      inherit makeInitrd;
      makeInitrdNG = makeInitrd;
      makeModulesClosure = _: fake "modules-closure";
      aggregateModules = _: fake "modules";
      makeDBusConf = _: fake "dbus-conf";
      makeFontsConf = _: fake "fonts-conf";
      formats = lib.genAttrs [
        "json"
        "yaml"
        "toml"
        "ini"
        "iniWithGlobalSection"
        "keyValue"
        "systemd"
        "gitIni"
        "libconfig"
        "hocon"
        "pythonVars"
        "elixirConf"
        "lua"
        "xml"
        "php"
        "javaProperties"
      ] (_: _: {
        type = lib.types.anything;
        generate = name: value: writeText name (builtins.toJSON value);
        lib = { };
      }) // {
        systemd = {
          type = lib.types.anything;
          generate = name: value: writeText name (builtins.toJSON value);
        };
      };
      inherit linuxPackages;
      linuxPackages_latest = linuxPackages;
      linuxPackagesFor = _: linuxPackages;
      linuxKernel = {
        packages = fakes // {
          linux_default = linuxPackages;
        };
        kernels = fakes;
        packageAliases = {
          linux_default = linuxPackages;
          linux_latest = linuxPackages;
        };
      };
      systemdUtils = { };
      nixosTests = { };
      perl = fake "perl" // {
        withPackages = _: fake "perl";
      };
      perlPackages = fakes;
      python3 = fake "python3" // {
        pkgs = fakes;
        withPackages = _: fake "python3";
      };
      python3Packages = fakes;
      xorg = fakes;
      nettools = fake "nettools";
      glibcLocales = fake "glibc-locales" // {
        override = _: fake "glibc-locales";
      };
      nixos-artwork.wallpapers = lib.genAttrs [
        "simple-dark-gray"
        "simple-dark-gray-bootloader"
        "simple-dark-gray-bottom"
        "nineish-dark-gray"
      ] (name: fake name // { gnomeFilePath = "${fake name}/share"; });
      nodePackages = fakes;
      gnome = fakes;
      plasma5Packages = fakes;
      libsForQt5 = fakes;
      kdePackages = fakes;
      haskellPackages = fakes;
      unixtools = fakes;
      rustPlatform = {
        buildRustPackage = mkDerivation;
        importCargoLock = _: fake "cargo-lock";
        fetchCargoVendor = _: fake "cargo-vendor";
      };
      nix = fake "nix" // {
        version = "2.18.1";
      };
      dockerTools = fakes;
      testers = { };
      fetchurl = args: fake "fetched";
      fetchzip = args: fake "fetched";
      fetchFromGitHub = args: fake "fetched";
      fetchpatch = args: fake "fetched";
      applyPatches = args: fake "patched";
      lixPackageSets = fakes;
      nixosOptionsDoc = args: { optionsJSON = fake "options"; optionsCommonMark = fake "options"; };
    }
    // packages;
in
self
