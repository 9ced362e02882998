# Where sops-nix has its module: `imports = [ "${sops-nix}/modules/sops" ]` goes on working.
{ imports = [ ../../nixos-module ]; }
