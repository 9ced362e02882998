# Evaluates whole NixOS systems with real NixOS modules and stand-in packages.
{
  # A nixpkgs lib, and a directory that has nixos/ (a nixpkgs, or a part of one).
  lib ? import (builtins.getEnv "NIXPKGS_LIB"),
  tree ? builtins.getEnv "NIXOS_TREE",
  # Every word that may be the name of a package.
  names ? builtins.readFile (builtins.getEnv "NIXOS_PACKAGE_NAMES"),
  # A directory with bin/forestage and bin/sops-install-secrets.
  forestage ? builtins.getEnv "FORESTAGE_PACKAGE",
  # The module to try: ours, or sops-nix's.
  module ? ../.,
  # Packages that are real, made of those that are not.
  packages ? _: { },
}:
let
  fakes = import ./stand-in.nix { inherit lib names; };
  pkgs = import ./stand-in.nix {
    inherit lib names;
    packages = packages fakes;
  };
  package = {
    type = "derivation";
    name = "forestage";
    pname = "forestage";
    outPath = forestage;
    drvPath = builtins.unsafeDiscardStringContext pkgs.hello.drvPath;
    outputs = [ "out" ];
    outputName = "out";
    meta.mainProgram = "forestage";
  };
  base = {
    nixpkgs.hostPlatform = "x86_64-linux";
    fileSystems."/" = {
      device = "/dev/vda";
      fsType = "ext4";
    };
    boot.loader.grub.enable = lib.mkDefault false;
    system.stateVersion = "24.05";
    documentation.enable = false;
  };
  ours =
    { options, ... }:
    {
      config = lib.optionalAttrs (options ? sops) {
        sops.package = package;
        sops.validationPackage = package;
      };
    };
in
rec {
  inherit lib pkgs package tree;
  system = systemWith { };
  systemWith =
    specialArgs: modules:
    import (tree + "/nixos/lib/eval-config.nix") {
      inherit lib pkgs specialArgs;
      system = null;
      modules = [
        module
        base
        ours
      ]
      ++ modules;
    };
}
