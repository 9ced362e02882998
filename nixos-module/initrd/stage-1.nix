# Stage 1: the unit that brings secrets to their places, and what it needs in the initrd.
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
  forestage = "${cfg.package}/bin/forestage";
  loader = config.boot.loader;

  # Builders of systemd-boot before mid-2026 name an initrd by its store path alone and append to it in place, so that
  # generations with the same initrd would share one set of secrets. Theirs gets the digest of what is appended. (bootCounting
  # existed for a while in 2024, with the old builder; extraInitrd never did.)
  writesAside =
    options.boot.loader.systemd-boot ? bootCounting && options.system.boot ? extraInitrd;
  appendsInPlace = loader.systemd-boot.enable && !writesAside;

  contents = {
    "/etc/forestage/initrd.json" = initrd.expected;
    # The stock unit that copies secrets fails without this directory.
    "/.initrd-secrets/.forestage-keep" = "";
  }
  // lib.optionalAttrs appendsInPlace { "/etc/forestage/manifest-digest" = initrd.digest; };

  mock = import ../lib/mock.nix { inherit config lib pkgs; };
  dummies = lib.listToAttrs (
    map (
      file:
      lib.nameValuePair "/.initrd-secrets${file.target}" {
        text =
          if file ? secret then mock.value file.secret else mock.rendered cfg.templates.${file.template};
      }
    ) (lib.filter (file: !(file ? source)) initrd.files)
  );

  scripted = !config.boot.initrd.systemd.enable;
in
{
  # Nothing is appended, and nixpkgs need not copy anything to the store.
  boot.loader.supportsInitrdSecrets = lib.mkIf (initrd.wanted && cfg.mock.enable) (lib.mkForce true);

  boot.initrd = lib.mkMerge [
    (lib.mkIf (initrd.wanted && cfg.mock.enable && !scripted) { systemd.contents = dummies; })
    (lib.mkIf initrd.exists (lib.mkMerge [
      (lib.mkIf (!scripted) {
        systemd = {
          contents = lib.mapAttrs (_: text: { inherit text; }) contents;
          # A program that is named in ExecStart only is not taken along.
          storePaths = [ forestage ];
          services.forestage-stage1 = {
            description = "Bring secrets to their places";
            documentation = [ "man:forestage(1)" ];
            wantedBy = [ "sysinit.target" ];
            # Passive targets: without somebody who wants them, nothing is ordered by them.
            wants = [
              "cryptsetup-pre.target"
              "network-pre.target"
            ];
            before = [
              "sysinit.target"
              "initrd-nixos-copy-secrets.service"
              "cryptsetup-pre.target"
              "systemd-networkd.service"
              "network-pre.target"
              "sshd.service"
              "sysroot.mount"
              "shutdown.target"
            ];
            conflicts = [ "shutdown.target" ];
            unitConfig = {
              DefaultDependencies = false;
              ConditionPathExists = "/etc/initrd-release";
            };
            serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              ExecStart = "${forestage} stage1";
              StandardError = "journal+console";
              # Whether PID 1 has imported credentials itself decides where ours go.
              PassEnvironment = "CREDENTIALS_DIRECTORY ENCRYPTED_CREDENTIALS_DIRECTORY";
            };
          };
        };
      })
      # As long as nixpkgs has it.
      (lib.optionalAttrs (options.boot.initrd ? preDeviceCommands && options.boot.initrd ? extraFiles) (
        lib.mkIf scripted {
          extraFiles = lib.mapAttrs (path: text: {
            source = pkgs.writeText (lib.removePrefix "." (baseNameOf path)) text;
          }) contents;
          extraUtilsCommands = ''
            copy_bin_and_libs ${forestage}
          '';
          # Before udev, LVM, LUKS and the network. A secret that fails is told; the boot goes on.
          preDeviceCommands = lib.mkBefore ''
            forestage stage1 || true
          '';
        }
      ))
    ]))
  ];
}
