# The system phase: /run/secrets.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  phase = (import ./lib/phases.nix { inherit config lib; }).system;
  manifest = (import ./lib/manifest.nix { inherit config lib pkgs; }).landing "" phase { };
  withEnvironment = import ./lib/environment.nix { inherit config lib; };
  unit = import ./lib/unit.nix { inherit config lib; };
  inherit (phase) exists;
in
{
  system.build.sops-nix-manifest = manifest;

  systemd.services.sops-install-secrets = lib.mkIf (exists && cfg.useSystemdActivation) (
    lib.mkMerge [
      (unit "${cfg.package}/bin/sops-install-secrets ${manifest}")
      {
        wantedBy = [ "sysinit.target" ];
        after = [
          "local-fs.target"
          "systemd-sysusers.service"
          "userborn.service"
        ];
        requiredBy = [ "sysinit-reactivation.target" ];
        before = [ "sysinit-reactivation.target" ];
      }
    ]
  );

  system.activationScripts.setupSecrets = lib.mkIf (exists && !cfg.useSystemdActivation) (
    lib.stringAfter
      (
        [
          "specialfs"
          "users"
          "groups"
        ]
        ++ lib.optional cfg.age.generateKey "generate-age-key"
      )
      ''
        [ -e /run/current-system ] || echo setting up secrets...
        ${withEnvironment "${cfg.package}/bin/sops-install-secrets ${manifest}"}
      ''
    // lib.optionalAttrs (config.system ? dryActivationScript) { supportsDryActivation = true; }
  );
}
