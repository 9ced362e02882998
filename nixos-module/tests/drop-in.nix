# Configurations that use only what sops-nix has, and what a module makes of them. Evaluated once with ours and once with
# sops-nix's own; nothing may differ but what is named in docs/nixos/differences.md.
{
  module ? ../.,
  secretsFile ? builtins.getEnv "TEST_SECRETS",
}:
let
  evaluation = import ./evaluate.nix {
    inherit module;
    # How a manifest is checked is a named difference; without it, whole systems can be the same.
    packages = fakes: {
      writeTextFile =
        args:
        fakes.writeTextFile (
          if lib.hasPrefix "manifest" args.name then removeAttrs args [ "checkPhase" ] else args
        );
    };
  };
  # So is the target.
  withoutTarget.disabledModules = lib.optional (builtins.pathExists (module + "/target.nix")) (
    module + "/target.nix"
  );
  inherit (evaluation) lib;
  file = /. + secretsFile;

  stubs = import ./stubs evaluation.tree;
  arguments = {
    inherit lib stubs;
    inherit (evaluation) pkgs;
  };
  configurations = import ./drop-in/examples.nix arguments // import ./drop-in/machines.nix arguments;

  # Those who make users run again when passwords are others: docs/nixos/differences.md.
  withoutOrder =
    name: text:
    if
      lib.elem name [
        "userborn.service"
        "systemd-sysusers.service"
      ]
    then
      lib.filter (line: !(lib.hasPrefix "After=" line || lib.hasPrefix "X-Restart-Triggers=" line)) (
        lib.splitString "\n" text
      )
    else
      text;

  shown =
    configuration:
    let
      inherit
        (
          (evaluation.system [
            withoutTarget
            configuration
            (
              { config, ... }:
              {
                sops.defaultSopsFile = lib.mkDefault file;
              }
            )
          ])
        )
        config
        ;
      failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
      # With these, there is more to differ.
      differs =
        config.sops.age.generateKey
        || config.systemd.services ? sops-install-secrets-for-users;
      named = lib.filterAttrs (name: _: lib.hasInfix "sops" name && name != "sops-generate-age-key");
      script = name: config.system.activationScripts.${name} or null;
      pickScript =
        name:
        let
          value = script name;
        in
        if value == null || builtins.isString value then
          value
        else
          {
            inherit (value) text deps;
            dry = value.supportsDryActivation or false;
          };
    in
    {
      manifest = builtins.fromJSON (builtins.unsafeDiscardStringContext config.system.build.sops-nix-manifest.text);
      usersManifest = builtins.fromJSON (
        builtins.unsafeDiscardStringContext config.system.build.sops-nix-users-manifest.text
      );
      units = lib.mapAttrs (_: unit: unit.text) (
        lib.filterAttrs (name: _: lib.hasSuffix ".service" name) (named config.systemd.units)
      );
      wiring = lib.mapAttrs (_: unit: {
        inherit (unit) wantedBy requiredBy aliases;
      }) (lib.filterAttrs (name: _: lib.hasSuffix ".service" name) (named config.systemd.units));
      scripts = lib.genAttrs [
        "setupSecrets"
        "setupSecretsForUsers"
        "generate-age-key"
        "users"
        "groups"
      ] pickScript;
      activation = config.system.activationScripts.script;
      dry = config.system.dryActivationScript;
      # Everything else that the machine gets.
      otherScripts = lib.mapAttrs (name: _: pickScript name) config.system.activationScripts;
      otherUnits = lib.mapAttrs (name: unit: withoutOrder name unit.text) (
        lib.filterAttrs (name: _: !(lib.hasInfix "sops" name)) config.systemd.units
      );
      initrdUnits = lib.mapAttrs (_: unit: unit.text) config.boot.initrd.systemd.units;
      initrdContents = lib.attrNames config.boot.initrd.systemd.contents;
      etc = lib.mapAttrs (
        _: file: if file.text != null then file.text else toString file.source
      ) config.environment.etc;
      tmpfiles = config.systemd.tmpfiles.rules;
      packages = map (package: package.name) config.environment.systemPackages;
      users = lib.mapAttrs (_: user: user.hashedPasswordFile) config.users.users;
      boot = {
        installer = toString config.system.build.installBootLoader;
        appender = toString config.system.build.initialRamdiskSecretAppender;
        initrd = toString config.system.build.initialRamdisk;
        secrets = lib.attrNames config.boot.initrd.secrets;
      };
      # All of it, as one hash.
      toplevel =
        if differs || failed != [ ] then
          null
        else
          builtins.substring 0 32 (
            baseNameOf (builtins.unsafeDiscardStringContext config.system.build.toplevel.drvPath)
          );
      inherit failed;
      environment = config.sops.environment;
    };
in
lib.mapAttrs (_: shown) configurations
