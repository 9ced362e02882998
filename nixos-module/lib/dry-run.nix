# A program that opens every secret with the identities of this machine and writes nothing.
{
  config,
  options,
  lib,
  pkgs,
}:
let
  cfg = config.sops;
  phases = import ./phases.nix { inherit config lib; };
  manifests = import ./manifest.nix { inherit config lib pkgs; };
  initrd = import ./initrd.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  withEnvironment = import ./environment.nix { inherit config lib; };

  check = name: manifest: ''
    if ! ${withEnvironment "exec ${cfg.package}/bin/forestage check --decrypt ${manifest} >&2"}
    then
      echo "forestage: secrets of the ${name} phase do not open (see above)" >&2
      failed=1
    fi
  '';
  landing =
    name: suffix: more:
    lib.optionalString phases.${name}.exists (check name (manifests.landing suffix phases.${name} more));
  # A key that the activation will make cannot be asked for before.
  unlessKeyIsToCome =
    text:
    if cfg.age.generateKey && cfg.age.keyFile != null then
      ''
        if [ -e ${lib.escapeShellArg cfg.age.keyFile} ]; then
        ${text}
        else
          echo "forestage: ${cfg.age.keyFile} is still to be generated; not checked" >&2
        fi
      ''
    else
      text;

  bootDirectories = import ./boot-directories.nix config.boot.loader;

  inInitrd = lib.optionalString initrd.exists ''
    ${check "initrd" initrd.manifest}
    ${lib.concatMapStrings (file: ''
      if [ ! -e ${lib.escapeShellArg file.from} ]; then
        echo ${
          lib.escapeShellArg "forestage: boot.initrd.secrets.\"${file.target}\": ${file.from} does not exist"
        } >&2
        failed=1
      fi
    '') initrd.plain}
    # Room for the segment is needed in any case; whether the initrd itself is new, only the installer knows.
    need=$(( 65536 + $(cat /dev/null ${
      lib.concatMapStringsSep " " (file: lib.escapeShellArg file) (
        lib.unique (lib.mapAttrsToList (_: secret: "${secret.sopsFile}") initrd.secrets)
      )
    } | wc -c) ))
    for directory in ${lib.escapeShellArgs bootDirectories}; do
      [ -d "$directory" ] || continue
      free=$(( $(stat -f -c '%a * %S' "$directory") ))
      if [ "$free" -lt "$need" ]; then
        echo "forestage: $directory has $free bytes left; the secrets of the initrd need $need" >&2
        echo "  delete old generations: nix-env -p /nix/var/nix/profiles/system --delete-generations +3" >&2
        failed=1
      fi
    done
  '';
in
pkgs.writeShellScript "forestage-dry-run" ''
  # Opens all secrets of the system that is about to be installed, and writes nothing.
  set -u
  export PATH=${pkgs.coreutils}/bin
  failed=0
  ${inInitrd}
  ${lib.optionalString phases.bootloader.exists (
    check "bootloader" (
      manifests.landing "-for-bootloader" phases.bootloader {
        phase = "bootloader";
        strict = true;
      }
    )
  )}
  ${unlessKeyIsToCome (landing "users" "-for-users" { } + landing "system" "" { })}
  if [ "$failed" != 0 ]; then
    echo "forestage: nothing was changed; to switch all the same, set NIXOS_NO_CHECK=1" >&2
  fi
  exit "$failed"
''
