# Where sops-nix has its module for home-manager.
{ imports = [ ../../home-manager-module ]; }
