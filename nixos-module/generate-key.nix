# sops.age.generateKey: an age identity, when there is none.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  wanted = cfg.age.generateKey && cfg.age.keyFile != null && cfg.secrets != { };
  file = lib.escapeShellArg cfg.age.keyFile;
  phases = import ./lib/phases.nix { inherit config lib; };
  by = import ./lib/users-by.nix { inherit config options; };
  # Scripts that need the key: all, unless units set up every phase.
  byScript =
    (phases.system.exists && !cfg.useSystemdActivation)
    || (phases.users.exists && !by.unit);
  make = ''
    if [[ ! -f ${file} ]]; then
      echo generating machine-specific age key...
      mkdir -p $(dirname ${file})
      ${pkgs.age}/bin/age-keygen -o ${file}
    fi
  '';
in
{
  # Present in every mode, so that `deps = [ "generate-age-key" ]` of other people resolves.
  system.activationScripts.generate-age-key = lib.mkIf wanted (
    lib.stringAfter [ ] (lib.optionalString byScript make)
  );

  # The unit waits for the file system that the key lies on, which the script cannot.
  systemd.services.sops-generate-age-key = lib.mkIf (wanted && !byScript) rec {
    description = "Generate the age identity of this machine";
    wantedBy = before;
    before =
      lib.optional phases.system.exists "sops-install-secrets.service"
      ++ lib.optional phases.users.exists "sops-install-secrets-for-users.service";
    unitConfig = {
      DefaultDependencies = "no";
      RequiresMountsFor = [ cfg.age.keyFile ];
      ConditionPathExists = "!${cfg.age.keyFile}";
    };
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = make;
  };
}
