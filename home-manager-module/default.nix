# The module for home-manager: secrets of a user, with the options of sops-nix's.
#
# A user unit lands them in the user's runtime directory. It belongs to default.target, which the user manager reaches at
# login and, with lingering, at boot without any session.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkIf;
  cfg = config.sops;

  manifest = pkgs.writeTextFile {
    name = "manifest.json";
    text = builtins.toJSON {
      secrets = lib.attrValues cfg.secrets;
      templates = lib.attrValues cfg.templates;
      placeholderBySecretName =
        cfg.placeholder
        // lib.mapAttrs' (attribute: secret: lib.nameValuePair secret.name cfg.placeholder.${attribute}) (
          lib.filterAttrs (attribute: _: cfg.placeholder ? ${attribute}) cfg.secrets
        );
      secretsMountPoint = cfg.defaultSecretsMountPoint;
      symlinkPath = cfg.defaultSymlinkPath;
      inherit (cfg) keepGenerations;
      gnupgHome = cfg.gnupg.home;
      sshKeyPaths = cfg.gnupg.sshKeyPaths;
      ageKeyFile = cfg.age.keyFile;
      ageSshKeyPaths = cfg.age.sshKeyPaths;
      userMode = true;
      logging = {
        keyImport = lib.elem "keyImport" cfg.log;
        secretChanges = lib.elem "secretChanges" cfg.log;
      };
    };
    checkPhase = ''
      ${cfg.package}/bin/forestage check --mode ${
        if cfg.validateSopsFiles then "sopsfile" else "manifest"
      } "$out"
    '';
  };

  keyFile = lib.escapeShellArg cfg.age.keyFile;
  script = toString (
    pkgs.writeShellScript "sops-nix-user" (
      lib.optionalString cfg.age.generateKey ''
        if [[ ! -f ${keyFile} ]]; then
          echo generating machine-specific age key...
          ${pkgs.coreutils}/bin/mkdir -p $(${pkgs.coreutils}/bin/dirname ${keyFile})
          ${pkgs.age}/bin/age-keygen -o ${keyFile}
        fi
      ''
      + ''
        ${cfg.package}/bin/sops-install-secrets -ignore-passwd ${manifest}
      ''
    )
  );

  qubes = cfg.gnupg.qubes-split-gpg;

  # When nobody's user manager runs, as while a machine boots, there is nothing to restart: login starts the unit. A dry run
  # leaves it alone.
  restart = ''
    [[ -v DRY_RUN ]] || case $(${config.systemd.user.systemctlPath} --user is-system-running 2>/dev/null) in
    running | degraded | maintenance)
      ${config.systemd.user.systemctlPath} restart --user sops-nix
      ;;
    initializing | starting)
      ${config.systemd.user.systemctlPath} restart --user --no-block sops-nix
      ;;
    *)
      echo "no user manager runs; secrets will be set up when it starts"
      ;;
    esac
  '';
in
{
  imports = [
    ./options.nix
    ./templates.nix
  ];

  config = mkIf (cfg.secrets != { }) {
    assertions = [
      {
        assertion =
          cfg.gnupg.home != null
          || cfg.gnupg.sshKeyPaths != [ ]
          || qubes.enable
          || cfg.age.keyFile != null
          || cfg.age.sshKeyPaths != [ ];
        message = ''
          sops.secrets is set, and nothing says which key opens them. Set sops.age.keyFile, sops.age.sshKeyPaths,
          sops.gnupg.home, sops.gnupg.sshKeyPaths or sops.gnupg.qubes-split-gpg.enable.
        '';
      }
      {
        assertion =
          lib.count (set: set) [
            (cfg.gnupg.home != null)
            (cfg.gnupg.sshKeyPaths != [ ])
            qubes.enable
          ] <= 1;
        message = "Only one of sops.gnupg.home, sops.gnupg.sshKeyPaths and sops.gnupg.qubes-split-gpg.enable can be set.";
      }
      {
        assertion =
          qubes.enable
          -> !(lib.elem qubes.domain [
            null
            ""
          ]);
        message = "sops.gnupg.qubes-split-gpg.enable needs sops.gnupg.qubes-split-gpg.domain: the qube that has the keys.";
      }
      {
        assertion = cfg.age.generateKey -> cfg.age.keyFile != null;
        message = "sops.age.generateKey is set, but not where the key is to be: set sops.age.keyFile.";
      }
      {
        assertion = pkgs.stdenv.hostPlatform.isLinux;
        message = "forestage sets up secrets on Linux only; on Darwin use sops-nix.";
      }
    ];

    home.sessionVariables = mkIf qubes.enable { SOPS_GPG_EXEC = "qubes-gpg-client-wrapper"; };

    sops.environment = {
      SOPS_GPG_EXEC = lib.mkMerge [
        (mkIf (cfg.gnupg.home != null || cfg.gnupg.sshKeyPaths != [ ]) (
          lib.mkDefault "${cfg.gnupg.package}/bin/gpg"
        ))
        (mkIf qubes.enable (lib.mkDefault config.home.sessionVariables.SOPS_GPG_EXEC))
      ];
      PATH = lib.makeBinPath cfg.age.plugins;
      QUBES_GPG_DOMAIN = mkIf qubes.enable (lib.mkDefault qubes.domain);
    };

    systemd.user.services.sops-nix = {
      Unit.Description = "sops-nix activation";
      Service = {
        Type = "oneshot";
        Environment = lib.concatStringsSep " " (
          lib.mapAttrsToList (name: value: "'${name}=${value}'") cfg.environment
        );
        ExecStart = script;
      };
      # A key of gpg may want a pinentry.
      Install.WantedBy = [
        (if cfg.gnupg.home != null then "graphical-session-pre.target" else "default.target")
      ];
    };

    # After the new unit is in place.
    home.activation.sops-nix =
      if lib ? hm then lib.hm.dag.entryAfter [ "linkGeneration" "reloadSystemd" ] restart else restart;
  };
}
