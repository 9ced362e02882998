# boot.loader.limine, for trees that do not have it: what other modules see of it, and what its installer is told.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.boot.loader.limine;
  efi = config.boot.loader.efi;
  settings = pkgs.writeText "limine-install.json" (
    builtins.toJSON {
      nixPath = config.nix.package;
      efiBootMgrPath = pkgs.efibootmgr;
      liminePath = pkgs.limine;
      efiMountPoint = efi.efiSysMountPoint;
      inherit (efi) canTouchEfiVariables;
      fileSystems = lib.mapAttrs (_: fs: { inherit (fs) device fsType; }) config.fileSystems;
      luksDevices = lib.attrNames config.boot.initrd.luks.devices;
      hostArchitecture = pkgs.stdenv.hostPlatform.parsed.cpu;
      timeout = config.boot.loader.timeout;
      efiSupport = true;
      efiRemovable = true;
      secureBoot = {
        enable = false;
        createAndEnrollKeys = false;
        sbctl = null;
      };
      biosSupport = false;
      biosDevice = "nodev";
      partitionIndex = null;
      force = false;
      enrollConfig = false;
      validateChecksums = true;
      panicOnChecksumMismatch = false;
      maxGenerations = 0;
      enableEditor = false;
      extraConfig = "";
      extraEntries = "";
      additionalFiles = { };
      style = {
        wallpapers = [ ];
        wallpaperStyle = null;
        backdrop = null;
        interface = lib.genAttrs [ "resolution" "branding" "brandingColor" "helpHidden" ] (_: null);
        graphicalTerminal = {
          font = lib.genAttrs [ "scale" "spacing" ] (_: null);
        }
        // lib.genAttrs [
          "palette"
          "brightPalette"
          "foreground"
          "background"
          "brightForeground"
          "brightBackground"
          "margin"
          "marginGradient"
        ] (_: null);
      };
    }
  );
in
{
  options.boot.loader.limine = {
    enable = lib.mkEnableOption "limine";
    installer = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "The limine-install.py of a nixpkgs.";
    };
  };
  config = lib.mkIf cfg.enable {
    boot.loader.supportsInitrdSecrets = true;
    system.build.installBootLoader =
      if cfg.installer == null then
        "/limine-install"
      else
        pkgs.replaceVarsWith {
          src = cfg.installer;
          isExecutable = true;
          replacements = {
            python3 = pkgs.python3.withPackages (packages: [ packages.psutil ]);
            configPath = settings;
          };
        };
  };
}
