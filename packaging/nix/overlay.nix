# The packages, beside those of nixpkgs. ssh-to-age and ssh-to-pgp stay nixpkgs' own, as with sops-nix's overlay.
final: _:
let
  packages = import ../../default.nix { pkgs = final; };
in
{
  inherit (packages)
    forestage
    sops-install-secrets
    sops-init-gpg-key
    sops-import-keys-hook
    sops-pgp-hook
    ;
}
