# What sops-nix's README shows, chapter by chapter, and what its tests set up.
{
  lib,
  pkgs,
  stubs,
}:
{
  age-key-file = {
    sops.age.keyFile = "/run/age-keys.txt";
    sops.secrets.test_key = { };
  };
  ssh-host-keys = {
    services.openssh.enable = true;
    sops.secrets.test_key = { };
  };
  host-key-from-secret =
    { config, ... }:
    {
      services.openssh.enable = true;
      services.openssh.hostKeys = [
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
        {
          type = "rsa";
          bits = 4096;
          path = config.sops.secrets.test_key.path;
        }
      ];
      sops.gnupg.sshKeyPaths = [ ];
      sops.secrets.test_key = { };
    };
  gnupg-home = {
    sops.gnupg.home = "/run/gpghome";
    sops.gnupg.sshKeyPaths = [ ];
    users.users.someuser = {
      isSystemUser = true;
      group = "nogroup";
    };
    sops.secrets.test_key.owner = "someuser";
    sops.secrets."nested/test/file" = {
      owner = "someuser";
      group = "wheel";
      mode = "0440";
    };
    sops.secrets.existing-file = {
      key = "test_key";
      path = "/run/existing-file";
    };
  };
  old-names = {
    sops.gnupgHome = "/var/lib/sops";
    sops.sshKeyPaths = [ ];
    sops.secrets.test_key = { };
  };
  numbers = {
    sops.age.keyFile = "/run/age-keys.txt";
    sops.secrets.test_key = {
      uid = 1001;
      gid = 1001;
    };
    sops.secrets.none = {
      key = "test_key";
      uid = null;
      gid = null;
    };
  };
  generated-key = {
    sops.age.keyFile = "/var/lib/sops-nix/key.txt";
    sops.age.generateKey = true;
    sops.age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    sops.secrets.test_key = { };
    sops.secrets.test_user.neededForUsers = true;
  };
  users =
    { config, ... }:
    {
      sops.age.keyFile = "/run/age-keys.txt";
      sops.secrets.test_key.neededForUsers = true;
      sops.secrets."nested/test/file".owner = "example-user";
      users.users.example-user = {
        isNormalUser = true;
        hashedPasswordFile = config.sops.secrets.test_key.path;
      };
    };
  users-sysusers = {
    sops.age.keyFile = "/run/age-keys.txt";
    systemd.sysusers.enable = true;
    boot.initrd.systemd.enable = true;
    system.etc.overlay.enable = true;
    users.mutableUsers = true;
    sops.secrets.test_key.neededForUsers = true;
    sops.secrets."nested/test/file" = { };
  };
  users-userborn = {
    imports = stubs.userborn;
    services.userborn.enable = true;
    sops.age.keyFile = "/run/age-keys.txt";
    sops.secrets.test_key.neededForUsers = true;
    sops.secrets."nested/test/file" = { };
  };
  unit = {
    sops.useSystemdActivation = true;
    sops.age.keyFile = "/persist/key.txt";
    sops.gnupg.sshKeyPaths = [ "/etc/ssh/ssh_host_rsa_key" ];
    sops.environment.SOPS_X = "1";
    sops.secrets.test_key = { };
    sops.secrets.test_user.neededForUsers = true;
  };
  templates =
    { config, ... }:
    {
      sops.age.keyFile = "/run/age-keys.txt";
      sops.secrets.test_key = { };
      sops.secrets."nested/test/file".neededForUsers = true;
      sops.templates.test_template = {
        content = ''
          one ${config.sops.placeholder.test_key}
          "two" \ ${"\${three}"}
        '';
        owner = "someuser";
        group = "somegroup";
      };
      sops.templates.linked = {
        content = "v: ${config.sops.placeholder.test_key}";
        path = "/etc/externally/linked";
        mode = "0444";
        restartUnits = [ "a.service" ];
      };
      sops.templates.uid = {
        uid = 420;
        gid = 420;
        file = ./examples.nix;
      };
      users.groups.somegroup = { };
      users.users.someuser = {
        isSystemUser = true;
        group = "somegroup";
      };
    };
  restart = {
    sops.age.keyFile = "/run/age-keys.txt";
    sops.secrets.test_key = {
      restartUnits = [ "restart-unit.service" ];
      reloadUnits = [ "reload-trigger.service" ];
    };
  };
  formats = {
    sops.age.keyFile = "/run/age-keys.txt";
    sops.secrets.env.format = "dotenv";
    sops.secrets.ini.format = "ini";
    sops.secrets.bin.format = "binary";
    sops.secrets.json = {
      format = "json";
      key = "";
    };
  };
  settings = {
    sops.age.keyFile = "/run/age-keys.txt";
    sops.age.plugins = [ pkgs.age ];
    sops.keepGenerations = 0;
    sops.useTmpfs = true;
    sops.log = [ "keyImport" ];
    sops.defaultSopsKey = "";
    sops.validateSopsFiles = false;
    sops.environment.SOPS_AGE_KEY_FILE = "/run/x";
    sops.secrets.test_key.sopsFile = "/var/lib/secrets.yaml";
  };
  nothing = { };

  # What sops-nix's README shows, chapter by chapter.
  readme-deploy = {
    sops.age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    sops.age.keyFile = "/var/lib/sops-nix/key.txt";
    sops.age.generateKey = true;
    sops.secrets.example-key = { };
    sops.secrets."myservice/my_subdir/my_secret" = { };
  };
  readme-file-outside-the-store = {
    sops.defaultSopsFile = "/root/.sops/secrets/example.yaml";
    sops.validateSopsFiles = false;
    sops.age.keyFile = "/var/lib/sops-nix/key.txt";
    sops.secrets.example-key = { };
  };
  readme-permissions =
    { config, ... }:
    {
      services.openssh.enable = true;
      sops.secrets.example-secret = {
        mode = "0440";
        owner = config.users.users.nobody.name;
        group = config.users.users.nobody.group;
      };
    };
  readme-buildkite =
    { config, pkgs, ... }:
    {
      services.openssh.enable = true;
      services.buildkite-agents.builder = {
        enable = true;
        tokenPath = config.sops.secrets.buildkite-token.path;
        privateSshKeyPath = config.sops.secrets.buildkite-ssh-key.path;
        runtimePackages = [
          pkgs.gnutar
          pkgs.bash
          pkgs.nix
          pkgs.gzip
          pkgs.git
        ];
      };
      sops.secrets.buildkite-token.owner = config.users.users.buildkite-agent-builder.name;
      sops.secrets.buildkite-ssh-key.owner = config.users.users.buildkite-agent-builder.name;
    };
  readme-restart = {
    services.openssh.enable = true;
    sops.secrets."home-assistant-secrets.yaml".restartUnits = [ "home-assistant.service" ];
  };
  readme-link = {
    services.openssh.enable = true;
    users.groups.hass = { };
    users.users.hass = {
      isSystemUser = true;
      group = "hass";
    };
    sops.secrets."home-assistant-secrets.yaml" = {
      owner = "hass";
      path = "/var/lib/hass/secrets.yaml";
    };
  };
  readme-password =
    { config, ... }:
    {
      sops.age.keyFile = "/nix/persist/var/lib/sops-nix/key.txt";
      sops.secrets.my-password.neededForUsers = true;
      users.users.mic92 = {
        isNormalUser = true;
        hashedPasswordFile = config.sops.secrets.my-password.path;
      };
    };
  readme-impermanence = {
    services.openssh.enable = true;
    fileSystems."/etc/ssh" = {
      device = "/persist/etc/ssh";
      options = [ "bind" ];
      neededForBoot = true;
    };
    sops.secrets.test_key.neededForUsers = true;
  };
  readme-json = {
    services.openssh.enable = true;
    sops.secrets.github_token = {
      sopsFile = ../data/secrets.json;
      format = "json";
    };
  };
  readme-json-by-default = {
    services.openssh.enable = true;
    sops.defaultSopsFile = ../data/secrets.json;
    sops.defaultSopsFormat = "json";
    sops.secrets.github_token = { };
  };
  readme-binary = {
    services.openssh.enable = true;
    sops.secrets.krb5-keytab = {
      format = "binary";
      sopsFile = ../data/secrets.bin;
    };
  };
  readme-whole-file = {
    services.openssh.enable = true;
    sops.secrets.my-config = {
      format = "yaml";
      key = "";
    };
  };
  readme-gnupg = {
    services.openssh.enable = true;
    sops.gnupg.home = "/var/lib/sops";
    sops.gnupg.sshKeyPaths = [ ];
    sops.secrets.test_key = { };
  };
  readme-shared =
    { config, ... }:
    let
      service = name: {
        script = "true";
        serviceConfig.User = name;
      };
      user = {
        isSystemUser = true;
        group = "drone";
      };
    in
    {
      services.openssh.enable = true;
      systemd.services.drone-server = service "drone-server";
      systemd.services.drone-agent = service "drone-agent";
      users.groups.drone = { };
      users.users.drone-server = user;
      users.users.drone-agent = user;
      sops.secrets.drone-server = {
        owner = config.systemd.services.drone-server.serviceConfig.User;
        key = "drone";
      };
      sops.secrets.drone-agent = {
        owner = config.systemd.services.drone-agent.serviceConfig.User;
        key = "drone";
      };
    };
  readme-templates =
    { config, pkgs, ... }:
    {
      services.openssh.enable = true;
      users.groups.serviceuser = { };
      users.users.serviceuser = {
        isSystemUser = true;
        group = "serviceuser";
      };
      sops.secrets.your-secret = { };
      sops.templates."your-config-with-secrets.toml" = {
        owner = "serviceuser";
        content = ''
          password = "${config.sops.placeholder.your-secret}"
        '';
      };
      systemd.services.myservice.serviceConfig = {
        ExecStart = "${pkgs.hello}/bin/hello --config ${
          config.sops.templates."your-config-with-secrets.toml".path
        }";
        User = "serviceuser";
      };
    };
}
