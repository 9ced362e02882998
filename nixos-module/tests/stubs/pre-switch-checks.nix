# The hook of nixpkgs since 25.05, for trees that do not have it: the option as it is declared there, and a script that runs
# the checks as it does there.
{
  lib,
  config,
  pkgs,
  ...
}:
{
  options.system.preSwitchChecks = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    default = { };
  };
  options.system.preSwitchChecksScript = lib.mkOption {
    type = lib.types.pathInStore;
    internal = true;
    readOnly = true;
    default = pkgs.writeScript "pre-switch-checks" (
      "#!/bin/bash\nset -euo pipefail\n"
      + lib.concatStrings (
        lib.mapAttrsToList (name: text: ''
          # ${name}
          (
          set -e
          ${text}
          ) >&2 || { echo "Pre-switch check '${name}' failed" >&2; exit 1; }
        '') config.system.preSwitchChecks
      )
    );
  };
}
