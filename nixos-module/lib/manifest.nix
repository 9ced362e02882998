# Manifests, as files that were checked when they were built.
{
  config,
  lib,
  pkgs,
}:
let
  cfg = config.sops;
  identities = import ./identities.nix;
  mock = import ./mock.nix { inherit config lib pkgs; };

  # What sops-nix's manifest has of a secret and of a template; what our own options add is not the installer's business.
  secretFields = [
    "name"
    "key"
    "path"
    "format"
    "mode"
    "owner"
    "uid"
    "group"
    "gid"
    "sopsFile"
    "sopsFileHash"
    "restartUnits"
    "reloadUnits"
    "neededForUsers"
  ];
  templateFields = [
    "name"
    "path"
    "content"
    "mode"
    "owner"
    "uid"
    "group"
    "gid"
    "file"
    "restartUnits"
    "reloadUnits"
  ];
  pick = fields: entry: lib.genAttrs fields (field: entry.${field});

  # sops-nix looks placeholders up by the name of the secret and stores them by its attribute. Both are there, so that a
  # secret with a `name` of its own can be used in templates.
  placeholders =
    secrets:
    cfg.placeholder
    // lib.mapAttrs' (attribute: secret: lib.nameValuePair secret.name cfg.placeholder.${attribute}) (
      lib.filterAttrs (attribute: _: cfg.placeholder ? ${attribute}) secrets
    );

  # sops files must be readable where the manifest is built.
  misplaced =
    secrets:
    lib.concatLists (
      lib.mapAttrsToList (
        attribute: secret:
        let
          option = "sops.secrets.${lib.strings.escapeNixIdentifier attribute}.sopsFile";
          inStore =
            builtins.isPath secret.sopsFile || lib.hasPrefix builtins.storeDir (toString secret.sopsFile);
        in
        lib.optional (!builtins.pathExists secret.sopsFile) "${option}: there is no file ${toString secret.sopsFile}"
        ++
          lib.optional (!inStore)
            "${option}: ${toString secret.sopsFile} is not in the Nix store; write it as a path without quotes, or set sops.validateSopsFiles = false"
      ) secrets
    );

  checked =
    secrets: value:
    let
      mistakes = misplaced secrets;
    in
    if cfg.validateSopsFiles && !cfg.mock.enable && mistakes != [ ] then
      throw "\nSops files that cannot be checked:\n${lib.concatMapStringsSep "\n" (line: "- ${line}") mistakes}"
    else
      value;
in
rec {
  inherit pick;

  # A secret as far as its sops file goes.
  source = name: secret: if cfg.mock.enable then mock.secret name secret else secret;
  # The identities of sops or sops.initrd.
  openedBy = options: if cfg.mock.enable then mock.identities else identities.fields options;

  # The fields that every manifest has.
  common =
    { secrets, templates, ... }:
    {
      secrets = lib.mapAttrsToList (name: secret: pick secretFields (source name secret)) secrets;
      templates = map (pick templateFields) (lib.attrValues templates);
      placeholderBySecretName = placeholders secrets;
      keepGenerations = cfg.keepGenerations;
      useTmpfs = cfg.useTmpfs;
      userMode = false;
      logging = {
        keyImport = lib.elem "keyImport" cfg.log;
        secretChanges = lib.elem "secretChanges" cfg.log;
      };
    };

  # The manifest of a phase that lands as generations.
  landing =
    suffix: phase: more:
    file suffix phase.secrets (
      common phase
      // openedBy cfg
      // {
        secretsMountPoint = phase.mountPoint;
        symlinkPath = phase.symlink;
      }
      // lib.optionalAttrs cfg.reuseUnchanged { reuseUnchanged = true; }
      // more
    );

  # Any manifest, as a file.
  file =
    suffix: secrets: content:
    checked secrets (
      pkgs.writeTextFile {
        name = "manifest${suffix}.json";
        text = builtins.toJSON content;
        checkPhase = ''
          ${cfg.validationPackage}/bin/forestage check ${
            lib.escapeShellArgs (
              if cfg.validateSopsFiles then
                [
                  "--mode"
                  "sopsfile"
                ]
                ++ lib.optionals (!cfg.mock.enable) (
                  lib.concatMap (key: [
                    "--recipient"
                    key
                  ]) cfg.hostPublicKeys
                )
              else
                [
                  "--mode"
                  "manifest"
                ]
            )
          } "$out"
        '';
      }
    );
}
