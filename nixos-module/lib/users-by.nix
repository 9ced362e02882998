# Who makes users and groups: a unit, or else the perl script of the activation.
{ config, options }:
rec {
  sysusers = options.systemd ? sysusers && config.systemd.sysusers.enable;
  userborn = options.services ? userborn && config.services.userborn.enable;
  # userborn ran when the system was built: nothing makes users at boot.
  built = userborn && (config.services.userborn.static or false);
  unit = sysusers || userborn;
}
