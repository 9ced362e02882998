# sops-secrets.target: a name to order units after, whoever sets up secrets.
{
  config,
  options,
  lib,
  ...
}:

let
  cfg = config.sops;
  phases = import ./lib/phases.nix { inherit config lib; };
  by = import ./lib/users-by.nix { inherit config options; };
  units =
    lib.optional (phases.system.exists && cfg.useSystemdActivation) "sops-install-secrets.service"
    ++ lib.optional (phases.users.exists && by.unit) "sops-install-secrets-for-users.service";
in
{
  systemd.targets.sops-secrets = lib.mkIf (cfg.secrets != { } || cfg.templates != { }) {
    description = "Secrets";
    wantedBy = [ "sysinit.target" ];
    # Where scripts set up secrets they are there before any unit is, and the target is reached at once.
    wants = units;
    after = units;
    unitConfig.DefaultDependencies = "no";
  };
}
