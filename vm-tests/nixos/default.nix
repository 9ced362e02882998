# The tests of NixOS's framework: an attribute a file. Each file is a module of the framework.
#
#   nix-build vm-tests/nixos -A first-switch        one
#   nix flake check                                 all
#
# README.md says what was run where.
{
  pkgs ? import <nixpkgs> { },
}:
let
  inherit (pkgs) lib;
  names = import ./list.nix;
in
lib.genAttrs names (name: pkgs.testers.runNixOSTest (./. + "/${name}.nix"))
