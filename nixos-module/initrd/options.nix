# sops.initrd: what the appender decrypts with. (Which secrets it takes is said by each secret.)
{ config, lib, ... }:

let
  inherit (lib) mkOption types;
  cfg = config.sops;
  outsideStore = import ../lib/outside-store.nix { inherit lib; };
in
{
  options.sops.initrd = {
    age = {
      keyFile = mkOption {
        type = types.nullOr outsideStore;
        default = cfg.age.keyFile;
        defaultText = lib.literalExpression "config.sops.age.keyFile";
        description = ''
          File with age identities for secrets of the initrd. A key of their own keeps apart what a stolen boot partition
          gives away from what the running machine can open.
        '';
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = cfg.age.sshKeyPaths;
        defaultText = lib.literalExpression "config.sops.age.sshKeyPaths";
        description = "ssh private keys (ed25519) to use as age identities for secrets of the initrd.";
      };
    };
    gnupg = {
      home = mkOption {
        type = types.nullOr types.str;
        default = cfg.gnupg.home;
        defaultText = lib.literalExpression "config.sops.gnupg.home";
        description = "Home of GnuPG for secrets of the initrd.";
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = cfg.gnupg.sshKeyPaths;
        defaultText = lib.literalExpression "config.sops.gnupg.sshKeyPaths";
        description = "ssh private keys (RSA) to use as OpenPGP keys for secrets of the initrd.";
      };
    };
    allowIdentity = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether a secret of the initrd may be one of the identities that this machine decrypts with. Whoever can read the
        boot partition can then open every sops file of this machine.
      '';
    };
  };
}
