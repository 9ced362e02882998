# sops.mock: dummies instead of secrets, in virtual machines that have no keys.
#
# Everything runs as on a real machine. Only the sops files are others: made while the system is built, with one line of text
# for each secret, encrypted to a key that everybody knows.
{
  config,
  options,
  lib,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  # nixpkgs imports these options into the VM variants and into the machines of NixOS tests, and nowhere else.
  isVirtual = options.virtualisation ? qemu;
in
{
  options.sops.mock = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether every secret is a dummy, which needs no key. Only in virtual machines:
        `virtualisation.vmVariant.sops.mock.enable = true`, or in a NixOS test.
      '';
    };
    values = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = lib.literalExpression ''{ "user/password" = "$y$j9T$..."; }'';
      description = ''
        What dummies hold, by attribute of `sops.secrets`, where a line of text will not do: a password hash, a key. Every user
        can read it.
      '';
    };
  };

  config = lib.mkIf cfg.mock.enable {
    assertions = [
      {
        assertion = isVirtual;
        message = ''
          sops.mock.enable gives every secret a value that everybody knows, and this is no virtual machine. Set it below
          virtualisation.vmVariant, or in a NixOS test.
        '';
      }
    ];
    warnings = [
      ''
        sops.mock.enable: no secret of this machine is secret. They are dummies, made with a key that is public.
      ''
    ];
  };
}
