# What the units that set up secrets have in common.
{ config, lib }:
let
  cfg = config.sops;
  identities = import ./identities.nix;
in
command: {
  environment = cfg.environment // {
    SOPS_RESTART_UNITS_VIA_SYSTEMCTL = "1";
  };
  path = cfg.age.plugins;
  unitConfig = {
    DefaultDependencies = "no";
    RequiresMountsFor = identities.files cfg;
  };
  serviceConfig = {
    Type = "oneshot";
    ExecStart = [ command ];
    RemainAfterExit = true;
  };
}
