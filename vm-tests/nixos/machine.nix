# What all machines have: the module, the sops files of nixos-module/tests/data, and their key, which is there before anything
# is set up.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  data = ../../nixos-module/tests/data;
  key = "${data + "/key.txt"}";
in
{
  imports = [ ../../nixos-module ];

  options.test.putKey = lib.mkOption {
    type = lib.types.bool;
    default = true;
    description = "Whether stage 1 puts the key to /run/age-key.txt.";
  };

  config = {
    sops.defaultSopsFile = data + "/secrets.yaml";
    sops.age.keyFile = lib.mkDefault "/run/age-key.txt";
    system.switch.enable = true;
    environment.systemPackages = [ config.sops.package ];

    boot.initrd = lib.mkIf config.test.putKey {
      systemd.storePaths = [ key ];
      systemd.services.test-key = {
        wantedBy = [ "initrd.target" ];
        before = [
          "initrd.target"
          "initrd-nixos-activation.service"
        ];
        unitConfig.DefaultDependencies = false;
        serviceConfig.Type = "oneshot";
        script = "install -m 600 ${key} /run/age-key.txt";
      };
      postDeviceCommands = lib.mkIf (!config.boot.initrd.systemd.enable) ''
        cp ${key} /run/age-key.txt; chmod 600 /run/age-key.txt
      '';
    };
  };
}
