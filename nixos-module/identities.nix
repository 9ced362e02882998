# sops.age and sops.gnupg: what this machine decrypts with.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  outsideStore = import ./lib/outside-store.nix { inherit lib; };

  # A host key that is itself a sops secret cannot open the file that it comes from.
  hostKeys =
    type:
    let
      usable = key: key.type == type && !(lib.hasPrefix "/run/secrets" key.path);
    in
    lib.optionals config.services.openssh.enable (
      map (key: key.path) (lib.filter usable config.services.openssh.hostKeys)
    );
in
{
  options.sops = {
    age = {
      keyFile = mkOption {
        type = types.nullOr outsideStore;
        default = null;
        example = "/var/lib/sops-nix/key.txt";
        description = "File with age identities, one a line.";
      };
      plugins = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "age plugins that may be needed for decrypting.";
      };
      generateKey = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to make an age identity at `sops.age.keyFile` when there is none.";
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = hostKeys "ed25519";
        defaultText = lib.literalMD "the ed25519 keys of `services.openssh.hostKeys`, without those that are secrets";
        description = "ssh private keys (ed25519) to use as age identities.";
      };
    };

    gnupg = {
      home = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/root/.gnupg";
        description = "Home of GnuPG whose keys decrypt.";
      };
      sshKeyPaths = mkOption {
        type = types.listOf types.path;
        default = hostKeys "rsa";
        defaultText = lib.literalMD "the rsa keys of `services.openssh.hostKeys`, without those that are secrets";
        description = "ssh private keys (RSA) to use as OpenPGP keys. Must be `[ ]` when `sops.gnupg.home` is set.";
      };
      package = mkOption {
        type = types.package;
        default = pkgs.gnupg;
        defaultText = lib.literalExpression "pkgs.gnupg";
        description = "The GnuPG to use.";
      };
    };
  };
}
