# The bootloader phase: /run/secrets-for-bootloader, for as long as the installer of the bootloader runs.
#
# A wrapper takes the place of the installer that was configured, and runs it. There is no hook before it that works with
# every loader.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  phase = (import ./lib/phases.nix { inherit config lib; }).bootloader;
  inherit (phase) exists;
  manifest = (import ./lib/manifest.nix { inherit config lib pkgs; }).landing "-for-bootloader" phase {
    phase = "bootloader";
    # An installer with half of its secrets may leave a machine that does not boot.
    strict = true;
  };
  withEnvironment = import ./lib/environment.nix { inherit config lib; };
  dryRun = import ./lib/dry-run.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  # Where nothing else runs before the bootloader is touched.
  checksHere = cfg.preSwitchCheck && !(options.system ? preSwitchChecks);

  # The installer of limine lets a secret pass through a temporary file: that stays in RAM.
  initrd = import ./lib/initrd.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  passesThroughTmp = initrd.exists && (config.boot.loader.limine or { enable = false; }).enable;

  # Stronger than mkForce, so that an installer that somebody else forces is wrapped too; and how ours is told from others.
  priority = 40;
  isOurs = value: value._type or "" == "override" && value.priority or null == priority;

  # What would be run without us.
  stock =
    let
      definitions = lib.concatMap (
        definition:
        lib.optional
          (definition.value ? installBootLoader && !(isOurs definition.value.installBootLoader))
          {
            inherit (definition) file;
            value = definition.value.installBootLoader;
          }
      ) options.system.build.definitionsWithLocations;
      option = (options.system.build.type.getSubOptions [ ]).installBootLoader or { };
      merged =
        lib.mergeDefinitions
          [
            "system"
            "build"
            "installBootLoader"
          ]
          (option.type or (lib.types.uniq lib.types.unspecified))
          definitions;
    in
    # An option's own default, where no loader is configured.
    if merged.isDefined then merged.mergedValue else option.default or "${pkgs.coreutils}/bin/true";

  wrapper = pkgs.writeShellScript "forestage-install-bootloader" ''
    # Sets up the secrets that the installer of the bootloader needs, runs it, and takes them away.
    set -u
    ${lib.optionalString passesThroughTmp "export TMPDIR=/run"}
    ${lib.optionalString checksHere ''
      if [ "''${NIXOS_NO_CHECK-}" != 1 ]; then
        ${dryRun} || exit 1
      fi
    ''}
    ${lib.optionalString exists ''
      take_away() {
        local mount=${phase.mountPoint}
        if ${pkgs.util-linux}/bin/mountpoint -q "$mount"; then
          ${pkgs.util-linux}/bin/umount "$mount" || ${pkgs.util-linux}/bin/umount -l "$mount"
        fi
        ${pkgs.coreutils}/bin/rm -rf ${phase.symlink} "$mount"
      }
      trap take_away EXIT
      trap 'exit 129' HUP
      trap 'exit 130' INT
      trap 'exit 143' TERM
      if ! ${
        withEnvironment "exec ${cfg.package}/bin/forestage install --phase bootloader ${manifest}"
      }
      then
        echo "forestage: the secrets that the bootloader needs cannot be set up; it was not touched" >&2
        exit 1
      fi
    ''}
    ${toString stock} "$@"
  '';
in
{
  system.build = lib.mkMerge [
    (lib.mkIf (exists || checksHere || passesThroughTmp) {
      installBootLoader = lib.mkOverride priority wrapper;
    })
    (lib.mkIf exists { forestage-bootloader-manifest = manifest; })
  ];
}
