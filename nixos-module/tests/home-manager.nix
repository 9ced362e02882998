# The module for home-manager, without home-manager: the options that it defines values for stand around it. With SOPS_NIX,
# beside sops-nix's own module.
let
  lib = import (builtins.getEnv "NIXPKGS_LIB");
  peer = builtins.getEnv "SOPS_NIX";
  around =
    { lib, ... }:
    {
      options = lib.mapAttrs (_: type: lib.mkOption { inherit type; }) {
        assertions = lib.types.listOf lib.types.attrs;
        launchd = lib.types.attrs;
      }
      // {
        home = {
          sessionVariables = lib.mkOption {
            type = lib.types.attrsOf lib.types.str;
            default = { };
          };
          activation = lib.mkOption { type = lib.types.attrsOf lib.types.str; };
          homeDirectory = lib.mkOption { default = "/home/u"; };
          username = lib.mkOption { default = "u"; };
        };
        xdg.configHome = lib.mkOption { default = "/home/u/.config"; };
        systemd.user = {
          systemctlPath = lib.mkOption { default = "/systemctl"; };
          services = lib.mkOption { type = lib.types.attrsOf lib.types.attrs; };
        };
      };
    };
  # Texts stand where their files would.
  pkgs = {
    writeTextFile = { text, ... }: text;
    writeText = name: _: "/text/${name}";
    writeShellScript = _: text: text;
    age = "/age";
    coreutils = "/coreutils";
    gnupg = "/gnupg";
    stdenv = {
      isLinux = true;
      isDarwin = false;
      hostPlatform.isLinux = true;
    };
    callPackage = _: _: { sops-install-secrets = "/package"; };
  };
  package = {
    type = "derivation";
    outPath = "/package";
    name = "package";
  };
  evaluated = evaluatedWith pkgs package;
  evaluatedWith =
    pkgs: package: module: configuration:
    (lib.evalModules {
      modules = [
        module
        around
        configuration
        {
          _module.args.pkgs = pkgs;
          sops.package = package;
          sops.defaultSopsFile = ./data/secrets.yaml;
        }
      ];
    }).config;
  configurations = {
    plain = {
      sops.age.keyFile = "/home/u/.age-key.txt";
      sops.secrets.test_key = { };
      sops.secrets.elsewhere = {
        path = "%r/x";
        format = "binary";
        mode = "0440";
      };
    };
    generated = {
      sops.age.keyFile = "/home/u/.age-key.txt";
      sops.age.generateKey = true;
      sops.secrets.test_key = { };
    };
    gnupg = {
      sops.gnupg.home = "/home/u/.gnupg";
      sops.gnupg.package = package;
      sops.secrets.test_key = { };
    };
    qubes = {
      sops.gnupg.qubes-split-gpg.enable = true;
      sops.gnupg.qubes-split-gpg.domain = "vault";
      sops.secrets.test_key = { };
    };
    template =
      { config, ... }:
      {
        sops.age.sshKeyPaths = [ "/home/u/.ssh/id_ed25519" ];
        sops.secrets.test_key = { };
        sops.templates."t.toml".content = ''p = "${config.sops.placeholder.test_key}"'';
      };
  };
  shown = config: {
    service = removeAttrs config.systemd.user.services.sops-nix [ "Unit" ] // {
      Service = config.systemd.user.services.sops-nix.Service // {
        # Without a comment of sops-nix.
        ExecStart = lib.concatStringsSep "\n" (
          lib.filter (line: !(lib.hasInfix "# age-keygen" line)) (
            lib.splitString "\n" (builtins.unsafeDiscardStringContext config.systemd.user.services.sops-nix.Service.ExecStart)
          )
        );
      };
    };
    inherit (config.home) sessionVariables;
    failed = lib.filter (a: !a.assertion) config.assertions;
  };
  ours = configuration: shown (evaluated ../../home-manager-module configuration);
  theirs = configuration: shown (evaluated (/. + "${peer}/modules/home-manager/sops.nix") configuration);

  # For running: real builders, the real program.
  home = builtins.getEnv "TEST_WORK" + "/home";
  started =
    configuration:
    let
      whole = import ./evaluate.nix { module = { }; };
      age = whole.pkgs.writeShellScriptBin "age-keygen" ''
        ${whole.pkgs.coreutils}/bin/cp ${./data/key.txt} "$2"
      '';
      config = evaluatedWith (whole.pkgs // { inherit age; }) whole.package ../../home-manager-module {
        imports = [ configuration ];
        xdg.configHome = "${home}/.config";
        sops.age.keyFile = lib.mkDefault (builtins.getEnv "TEST_AGE_KEY");
        sops.secrets.test_key = { };
      };
    in
    whole.pkgs.runCommand "user-unit" { } "ln -s ${config.systemd.user.services.sops-nix.Service.ExecStart} $out";
in
{
  build.script = started (
    { config, ... }:
    {
      sops.secrets.token = {
        key = "test_key";
        path = "%r/token";
      };
      sops.templates.t.content = "[${config.sops.placeholder.token}]";
    }
  );
  build.generating = started {
    sops.age.generateKey = true;
    sops.age.keyFile = "${home}/made/key.txt";
  };

  checks = lib.mapAttrs' (
    name: configuration:
    lib.nameValuePair "home-manager: ${name}" {
      actual = ours configuration;
      expected = if peer == "" then ours configuration else theirs configuration;
    }
  ) configurations
  // {
    "home-manager: the manifest is a user's" =
      let
        script = (ours configurations.plain).service.Service.ExecStart;
      in
      {
        actual = map (part: lib.hasInfix part script) [
          "/package/bin/sops-install-secrets -ignore-passwd"
          ''"userMode":true''
          ''"secretsMountPoint":"%r/secrets.d"''
          ''"symlinkPath":"/home/u/.config/sops-nix/secrets"''
        ];
        expected = [
          true
          true
          true
          true
        ];
      };
    "home-manager: mistakes" = {
      actual = map (configuration: map (a: lib.head (lib.splitString " " a.message)) (ours configuration).failed) [
        { sops.secrets.a = { }; }
        {
          sops.secrets.a = { };
          sops.gnupg.home = "/g";
          sops.gnupg.package = package;
          sops.gnupg.sshKeyPaths = [ "/k" ];
        }
        {
          sops.secrets.a = { };
          sops.gnupg.qubes-split-gpg.enable = true;
        }
      ];
      expected = [
        [ "sops.secrets" ]
        [ "Only" ]
        [ "sops.gnupg.qubes-split-gpg.enable" ]
      ];
    };
  };
}
