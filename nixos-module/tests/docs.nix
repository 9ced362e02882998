# Examples of docs/nixos that are configurations of a machine, which `run` takes out of the pages: each one is evaluated whole,
# and nothing complains.
let
  evaluation = import ./evaluate.nix { };
  inherit (evaluation) lib;
  directory = builtins.getEnv "TEST_DOCS";
  isExample = name: builtins.match "(initrd|bootloader)-[0-9]+\\.nix" name != null;
  machine =
    { config, ... }:
    {
      sops.defaultSopsFile = lib.mkDefault (/. + directory + "/secrets.yaml");
      sops.age.keyFile = lib.mkDefault "/var/lib/sops-nix/key.txt";
      boot.initrd.systemd.enable = true;
      boot.loader.systemd-boot.enable = !(config.boot.loader.grub.users != { } || config.boot.loader.external.enable);
      boot.loader.grub.enable = config.boot.loader.grub.users != { };
      boot.loader.grub.device = "nodev";
      fileSystems."/boot" = {
        device = "/dev/vdb";
        fsType = "vfat";
        options = [ "umask=0077" ];
      };
    };
in
lib.mapAttrs' (
  name: _:
  let
    inherit
      (
        (evaluation.system [
          machine
          (/. + directory + "/${name}")
        ])
      )
      config
      ;
  in
  lib.nameValuePair "docs/nixos: ${name} evaluates" {
    actual = {
      failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
      warnings = lib.filter (lib.hasInfix "sops") config.warnings;
      evaluates = builtins.isString config.system.build.toplevel.drvPath;
    };
    expected = {
      failed = [ ];
      warnings = [ ];
      evaluates = true;
    };
  }
) (lib.filterAttrs (name: _: isExample name) (builtins.readDir (/. + directory)))
