# Whole generations of the real home-manager (HOME_MANAGER), with our module and with sops-nix's: the same derivation, but for the
# block of the activation and how a manifest is checked, which are named differences.
{
  module,
  home-manager ? builtins.getEnv "HOME_MANAGER",
}:
let
  whole = import ./evaluate.nix { module = { }; };
  pkgs = whole.pkgs // {
    path = /. + whole.tree;
    writeTextFile =
      args:
      whole.pkgs.writeTextFile (
        if args.name == "manifest.json" then removeAttrs args [ "checkPhase" ] else args
      );
  };
  lib = import (home-manager + "/modules/lib/stdlib-extended.nix") whole.lib;

  evaluated =
    configuration:
    (lib.evalModules {
      class = "homeManager";
      specialArgs.modulesPath = home-manager + "/modules";
      modules = [
        module
        configuration
        {
          home.username = "u";
          home.homeDirectory = "/home/u";
          home.stateVersion = "24.11";
          manual.manpages.enable = false;
          news.display = "silent";
          sops.package = whole.package;
          sops.defaultSopsFile = ./data/secrets.yaml;
          home.activation.sops-nix = lib.mkForce "";
        }
      ]
      # What needs more of a nixpkgs than its NixOS modules.
      ++ lib.filter (one: !(builtins.isPath one && baseNameOf one == "services-modular")) (
        import (home-manager + "/modules/modules.nix") {
          inherit lib pkgs;
          useNixpkgsModule = false;
          minimal = true;
          check = false;
        }
      );
    }).config;

  key.sops.age.keyFile = "/home/u/.config/sops/age/keys.txt";
  configurations = {
    nothing = { };
    plain = {
      imports = [ key ];
      sops.secrets.a = { };
      sops.secrets.b.path = "%r/b";
    };
    without-starting-units = {
      imports = [ key ];
      systemd.user.startServices = false;
      sops.secrets.a = { };
    };
    gnupg = {
      sops.gnupg.home = "/home/u/.gnupg";
      sops.secrets.a = { };
    };
    elsewhere = {
      imports = [ key ];
      xdg.configHome = "/home/u/cfg";
      sops.defaultSymlinkPath = "/home/u/.secrets";
      sops.defaultSecretsMountPoint = "/home/u/.secrets.d";
      sops.age.plugins = [ pkgs.jq ];
      sops.secrets.a = { };
    };
    template =
      { config, ... }:
      {
        imports = [ key ];
        sops.secrets.a = { };
        sops.templates.t.content = "x ${config.sops.placeholder.a}";
        home.sessionVariables.T = config.sops.templates.t.path;
        systemd.user.services.mail = {
          Unit.After = [ "sops-nix.service" ];
          Service.ExecStart = "/mail ${config.sops.secrets.a.path}";
        };
      };
  };
in
lib.mapAttrs (
  _: configuration:
  let
    config = evaluated configuration;
  in
  {
    services = config.systemd.user.services;
    variables = config.home.sessionVariables;
    failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
    inherit (config) warnings;
    # As one hash.
    generation = builtins.substring 0 32 (
      baseNameOf (builtins.unsafeDiscardStringContext config.home.activationPackage.drvPath)
    );
  }
) configurations
