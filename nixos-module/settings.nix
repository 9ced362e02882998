# Settings that concern all secrets.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  shared = import ./lib/options.nix { inherit lib pkgs cfg; };
in
{
  options.sops = shared.settings // {
    validateSopsFiles = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether sops files are checked when the system is built: each has the keys that are asked for, and is encrypted (to
        `sops.hostPublicKeys`, if given). The files must then be in the Nix store, where their ciphertext is readable by
        everybody.
      '';
    };
    hostPublicKeys = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "age1..." ];
      description = ''
        Public keys of this machine: age recipients, ssh-ed25519 public keys or fingerprints of OpenPGP keys. When given,
        the build fails if a sops file is not encrypted to any of them: a mistake that otherwise shows up when the machine
        is switched.
      '';
    };
    reuseUnchanged = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether a run that would change nothing keeps the current generation, so that bind mounts of secrets stay valid.
      '';
    };
    environment = mkOption {
      type = types.attrsOf (types.either types.str types.path);
      default = { };
      description = ''
        Environment of forestage. In scripts the values stand between single quotes and are not escaped further, so that
        a value can leave the quotes for a command substitution; use `lib.escapeShellArg` for anything else.
      '';
    };
    validationPackage = mkOption {
      type = types.package;
      default =
        if pkgs.stdenv.buildPlatform == pkgs.stdenv.hostPlatform then
          cfg.package
        else
          (import ../default.nix { pkgs = pkgs.pkgsBuildHost; }).forestage;
      defaultText = lib.literalExpression "config.sops.package";
      description = "The forestage that checks sops files while the system is built.";
    };
    useTmpfs = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether secrets live on a tmpfs instead of a ramfs. Its pages are kept out of swap where the kernel can do that
        (since 6.4); on an older kernel with swap, encrypt the swap.
      '';
    };
    useSystemdActivation = mkOption {
      type = types.bool;
      default =
        (options.systemd ? sysusers && config.systemd.sysusers.enable)
        || (options.services ? userborn && config.services.userborn.enable);
      defaultText = lib.literalMD "whether systemd-sysusers or userborn manages users";
      description = ''
        Whether a systemd unit sets up secrets, instead of an activation script. Other units can then be ordered before it,
        for instance mounts that hold keys.
      '';
    };
  };

  config = {
    sops.environment.SOPS_GPG_EXEC = lib.mkIf (
      cfg.secrets != { } && (cfg.gnupg.home != null || cfg.gnupg.sshKeyPaths != [ ])
    ) (lib.mkDefault "${cfg.gnupg.package}/bin/gpg");
  };
}
