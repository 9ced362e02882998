# The check before a switch: every secret opens with the identities of this machine, before anything is touched.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  phases = import ./lib/phases.nix { inherit config lib; };
  initrd = import ./lib/initrd.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  dryRun = import ./lib/dry-run.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
in
{
  options.sops.preSwitchCheck = lib.mkOption {
    type = lib.types.bool;
    default = initrd.exists || phases.bootloader.exists;
    defaultText = lib.literalMD "whether there are secrets for the initrd or the bootloader";
    description = ''
      Whether a switch first opens all secrets with the identities of this machine, and looks for room on the boot
      partition. It writes nothing; when it fails nothing was changed. `NIXOS_NO_CHECK=1` skips it.
    '';
  };

  # Where nixpkgs does not have the hook (24.11 and before), the wrapper around the installer of the bootloader does it.
  config = lib.optionalAttrs (options.system ? preSwitchChecks) {
    system.preSwitchChecks = lib.mkIf cfg.preSwitchCheck {
      forestage = ''
        ${dryRun}
      '';
    };
  };
}
