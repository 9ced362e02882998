# The program that the installer of the bootloader runs on each initrd.
#
# It replaces the stock one, does its work too, and is a file of its own in the store that names everything it needs: a
# generation keeps its appender, forestage and sops files for as long as it exists. It must not name the system that it
# belongs to.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.sops;
  initrd = import ../lib/initrd.nix {
    inherit
      config
      options
      lib
      pkgs
      ;
  };
  withEnvironment = import ../lib/environment.nix { inherit config lib; };

  # The installer of limine has us write to a temporary file elsewhere. When a generation can no longer be opened, what it has
  # on the boot partition is found there.
  limine = config.boot.loader.limine or { enable = false; };
  kept = lib.optional limine.enable "--kept ${
    lib.escapeShellArg "${
      if limine.efiSupport or true then config.boot.loader.efi.efiSysMountPoint else "/boot"
    }/limine/kernels"
  }";

  appender = pkgs.writeScriptBin "append-initrd-secrets" ''
    #!${pkgs.bash}/bin/bash
    # Puts this configuration's secrets into an initrd, decrypted with the keys of this machine.
    if [ $# -ne 1 ] || [ "$1" = --help ]; then
      echo "usage: $0 INITRD" >&2
      [ "''${1-}" = --help ]
      exit
    fi
    ${withEnvironment (
      lib.concatStringsSep " " (
        [
          "exec ${cfg.package}/bin/forestage initrd append"
          "--manifest ${initrd.manifest}"
          "--appender ${placeholder "out"}/bin/append-initrd-secrets"
        ]
        ++ kept
        ++ [ ''"$1"'' ]
      )
    )}
  '';
in
{
  system.build = lib.mkIf initrd.exists {
    initialRamdiskSecretAppender = lib.mkForce appender;
    forestage-initrd-manifest = initrd.manifest;
  };

  boot.initrd.secrets = lib.mkIf (config.boot.initrd.enable && initrd.asked != [ ]) {
    ${initrd.entry} = "${pkgs.writeText "forestage-entry" ""}";
  };
}
