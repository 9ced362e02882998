# services.userborn, for trees that do not have it: what other modules see of it.
{ lib, config, ... }:
{
  options.services.userborn = {
    enable = lib.mkEnableOption "userborn";
    static = lib.mkEnableOption "password files that are made when the system is built";
  };
  config = lib.mkIf config.services.userborn.enable {
    system.activationScripts.users = lib.mkForce "";
    system.activationScripts.hashes = lib.mkForce "";
    systemd.services.userborn = lib.mkIf (!config.services.userborn.static) {
      wantedBy = [ "sysinit.target" ];
      requiredBy = [ "sysinit-reactivation.target" ];
      after = [ "systemd-remount-fs.service" ];
      before = [
        "sysinit.target"
        "sysinit-reactivation.target"
      ];
      aliases = [ "systemd-sysusers.service" ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "/userborn";
      };
    };
  };
}
