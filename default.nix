# For channels, niv, npins and fetchTarball:
#
#   imports = [ "${forestage}/nixos-module" ];
#
# and, as an attribute set, the packages. The names that sops-nix has are here too.
{
  pkgs ? import <nixpkgs> { },
}:
let
  # One file without libraries, the same in the initrd and on the machine. Where nixpkgs has no static set (Darwin), the
  # ordinary one.
  static = if pkgs.stdenv.hostPlatform.isLinux then pkgs.pkgsStatic else pkgs;
  forestage = static.callPackage ./packaging/nix/package.nix { };
  packages = {
    inherit forestage;
    default = forestage;
    sops-install-secrets = forestage;
    # forestage answers to these names.
    ssh-to-age = pkgs.callPackage ./packaging/nix/renamed.nix {
      inherit forestage;
      name = "ssh-to-age";
    };
    ssh-to-pgp = pkgs.callPackage ./packaging/nix/renamed.nix {
      inherit forestage;
      name = "ssh-to-pgp";
    };
    sops-init-gpg-key = pkgs.callPackage ./packaging/nix/sops-init-gpg-key { };
    sops-import-keys-hook = pkgs.callPackage ./packaging/nix/sops-import-keys-hook { };
    sops-pgp-hook = pkgs.callPackage ./packaging/nix/sops-pgp-hook { };
  };
in
packages
