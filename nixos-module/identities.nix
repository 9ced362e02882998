# sops.age and sops.gnupg: what this machine decrypts with.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  shared = import ./lib/options.nix {
    inherit lib pkgs;
    cfg = config.sops;
  };

  # A host key that is itself a sops secret cannot open the file that it comes from.
  hostKeys =
    type:
    let
      usable = key: key.type == type && !(lib.hasPrefix "/run/secrets" key.path);
    in
    {
      default = lib.optionals config.services.openssh.enable (
        map (key: key.path) (lib.filter usable config.services.openssh.hostKeys)
      );
      defaultText = lib.literalMD "the ${type} keys of `services.openssh.hostKeys`, without those that are secrets";
    };
in
{
  options.sops = shared.identities hostKeys;
}
