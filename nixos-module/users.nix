# The users phase: /run/secrets-for-users, before users and groups exist.
#
# Who makes the users decides when that is: a unit (systemd-sysusers, userborn) or the perl script of the activation.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  phase = (import ./lib/phases.nix { inherit config lib; }).users;
  manifest = (import ./lib/manifest.nix { inherit config lib pkgs; }).landing "-for-users" phase { };
  withEnvironment = import ./lib/environment.nix { inherit config lib; };
  unit = import ./lib/unit.nix { inherit config lib; };
  inherit (phase) exists;

  by = import ./lib/users-by.nix { inherit config options; };
  call = "${cfg.package}/bin/sops-install-secrets -ignore-passwd ${manifest}";
  # Passwords are read when users are made. Whoever makes them must do it again when the secrets are others.
  again = {
    after = [ "sops-install-secrets-for-users.service" ];
    restartTriggers = [ manifest ];
  };
in
{
  system.build.sops-nix-users-manifest = manifest;

  systemd.services.sops-install-secrets-for-users = lib.mkIf (exists && by.unit) (
    lib.mkMerge [
      (unit call)
      {
        # userborn answers to this name too.
        wantedBy = [ "systemd-sysusers.service" ];
        before = [ "systemd-sysusers.service" ];
      }
    ]
  );
  systemd.services.userborn = lib.mkIf (exists && by.userborn && !by.built) again;
  systemd.services.systemd-sysusers = lib.mkIf (exists && by.sysusers && !by.userborn) again;

  system.activationScripts = lib.mkIf (exists && !by.unit) {
    setupSecretsForUsers =
      lib.stringAfter ([ "specialfs" ] ++ lib.optional cfg.age.generateKey "generate-age-key") ''
        [ -e /run/current-system ] || echo setting up secrets for users...
        ${withEnvironment call}
      ''
      // lib.optionalAttrs (config.system ? dryActivationScript) { supportsDryActivation = true; };

    users.deps = [ "setupSecretsForUsers" ];
  };
}
