# What people have on their machines, with no more of it than concerns secrets.
{
  lib,
  pkgs,
  stubs,
}:
let
  key.sops.age.keyFile = "/var/lib/sops-nix/key.txt";
  with' =
    configuration:
    { config, ... }:
    {
      imports = [ key ];
      config = if lib.isFunction configuration then configuration config else configuration;
    };
  file = ../data/secrets.yaml;
in
lib.mapAttrs (_: with') {
  # Sops files.
  file-of-another-format = {
    sops.defaultSopsFormat = "binary";
    sops.defaultSopsFile = ../data/secrets.bin;
    sops.secrets.a = { };
    sops.secrets.b = {
      format = "yaml";
      sopsFile = file;
    };
  };
  file-outside-the-store = {
    sops.validateSopsFiles = false;
    sops.defaultSopsFile = "/var/secrets/a.yaml";
    sops.secrets.a = {
      owner = "root";
      uid = 3;
    };
  };
  key-by-default = {
    sops.defaultSopsKey = "test_key";
    sops.secrets.a = { };
    sops.secrets.b.key = "port";
  };

  # Files.
  owner-of-a-service = config: {
    users.users.web = {
      isSystemUser = true;
      group = "web";
    };
    users.groups.web = { };
    users.groups.certificates = { };
    sops.secrets.a.owner = config.users.users.web.name;
    sops.secrets.b = {
      owner = "web";
      group = "certificates";
      mode = "0440";
    };
  };
  root-by-name = {
    sops.secrets.a.owner = "root";
    sops.secrets.b = {
      owner = "root";
      group = "root";
      neededForUsers = true;
    };
  };
  one-of-both = {
    sops.secrets.a.group = "wheel";
    sops.secrets.b.uid = null;
    sops.secrets.c.gid = 100;
  };
  modes = {
    sops.secrets.a.mode = "4755";
    sops.secrets.b.mode = "0";
    sops.secrets.c.mode = "600";
  };
  link-in-a-home = {
    users.users.u.isNormalUser = true;
    sops.secrets."ssh/id" = {
      owner = "u";
      path = "/home/u/.ssh/id_ed25519";
    };
  };
  link-of-a-password.sops.secrets.p = {
    neededForUsers = true;
    path = "/run/elsewhere";
  };
  names = {
    sops.secrets.a.name = "deep/er/a";
    sops.secrets."b c" = { };
  };
  many.sops.secrets = lib.genAttrs (map (n: "s${toString n}") (lib.range 1 60)) (_: { });

  # Identities.
  gnupg-and-ssh = {
    sops.age.keyFile = lib.mkForce null;
    sops.gnupg.home = "/root/.gnupg";
    sops.gnupg.package = pkgs.gnupg1;
    sops.age.sshKeyPaths = [ "/etc/ssh/k" ];
    sops.secrets.a = { };
  };
  plugins = {
    sops.age.plugins = [
      pkgs.age
      pkgs.jq
    ];
    sops.secrets.a = { };
    sops.secrets.u.neededForUsers = true;
  };
  plugins-of-a-unit = {
    sops.useSystemdActivation = true;
    sops.age.plugins = [ pkgs.age ];
    sops.environment.X = "a b";
    sops.secrets.a = { };
  };
  environment = {
    sops.environment = {
      HOME = "/root";
      PATH = "/x";
      SOPS_GPG_EXEC = "/gpg";
      TOKEN = "$(cat /x)";
    };
    sops.gnupg.sshKeyPaths = [ "/k" ];
    sops.secrets.a = { };
  };
  strange-key-file = {
    sops.age.keyFile = lib.mkForce "/var/lib/my keys/k'ey.txt";
    sops.age.generateKey = true;
    sops.secrets.a = { };
    sops.secrets.u.neededForUsers = true;
  };
  host-key-that-is-a-secret = config: {
    services.openssh.enable = true;
    services.openssh.hostKeys = [
      {
        type = "ed25519";
        path = config.sops.secrets.a.path;
      }
    ];
    sops.secrets.a = { };
  };

  # Who uses them.
  impermanence = {
    sops.age.sshKeyPaths = [ "/persist/etc/ssh/ssh_host_ed25519_key" ];
    fileSystems."/persist" = {
      device = "/dev/x";
      fsType = "btrfs";
      options = [ "subvol=persist" ];
      neededForBoot = true;
    };
    fileSystems."/etc/ssh" = {
      device = "/persist/etc/ssh";
      depends = [ "/persist" ];
      options = [ "bind" ];
      neededForBoot = true;
    };
    services.openssh.enable = true;
    sops.secrets.p.neededForUsers = true;
    users.mutableUsers = false;
    users.allowNoPasswordLogin = true;
    users.users.me = {
      isNormalUser = true;
      hashedPasswordFile = "/run/secrets-for-users/p";
    };
  };
  root-in-ram = {
    fileSystems."/" = lib.mkForce {
      device = "none";
      fsType = "tmpfs";
    };
    fileSystems."/nix" = {
      device = "/dev/x";
      fsType = "ext4";
      neededForBoot = true;
    };
    sops.age.keyFile = lib.mkForce "/nix/persist/key.txt";
    sops.secrets.p.neededForUsers = true;
  };
  immutable-users = config: {
    boot.initrd.systemd.enable = true;
    users.mutableUsers = false;
    sops.secrets.p.neededForUsers = true;
    users.users.root.hashedPasswordFile = config.sops.secrets.p.path;
  };
  wireguard = config: {
    systemd.network.enable = true;
    systemd.network.netdevs.wg0 = {
      netdevConfig = {
        Kind = "wireguard";
        Name = "wg0";
      };
      wireguardConfig.PrivateKeyFile = config.sops.secrets.a.path;
    };
    sops.secrets.a = {
      owner = "systemd-network";
      group = "systemd-network";
      mode = "0640";
      restartUnits = [ "systemd-networkd.service" ];
    };
  };
  backup = config: {
    services.restic.backups.x = {
      passwordFile = config.sops.secrets.a.path;
      repository = "/r";
      paths = [ "/p" ];
      environmentFile = config.sops.templates.env.path;
    };
    sops.secrets.a = { };
    sops.templates.env.content = "A=${config.sops.placeholder.a}";
  };
  certificate = config: {
    security.acme = {
      acceptTerms = true;
      defaults.email = "a@example.org";
      certs."example.org" = {
        dnsProvider = "cloudflare";
        credentialFiles.CF_DNS_API_TOKEN_FILE = config.sops.secrets.a.path;
      };
    };
    sops.secrets.a.owner = "acme";
  };
  credential = config: {
    sops.secrets.a = { };
    systemd.services.x = {
      script = "true";
      restartTriggers = [ config.sops.secrets.a.sopsFileHash ];
      serviceConfig = {
        DynamicUser = true;
        LoadCredential = "a:${config.sops.secrets.a.path}";
      };
    };
  };
  group-of-keys = {
    users.groups.keys.members = [ "me" ];
    users.users.me.isNormalUser = true;
    sops.secrets.a = {
      group = "keys";
      mode = "0440";
    };
  };
  token-of-nix = config: {
    sops.secrets.a = {
      group = "nixbld";
      mode = "0440";
    };
    nix.extraOptions = "!include ${config.sops.secrets.a.path}";
  };
  script-after-secrets = config: {
    sops.secrets.a = { };
    system.activationScripts.mine = {
      deps = [ "setupSecrets" ];
      text = "cat ${config.sops.secrets.a.path}";
    };
  };
  own-placeholder = config: {
    sops.secrets.a = { };
    sops.placeholder.a = "@A@";
    sops.templates.t.content = "v ${config.sops.placeholder.a}";
  };
  template-from-a-file = config: {
    sops.secrets.a = { };
    sops.templates.t = {
      file = pkgs.writeText "x" "y ${config.sops.placeholder.a}";
      path = "/etc/t";
      reloadUnits = [ "a.service" ];
    };
  };
  by-condition = {
    sops.secrets = lib.mkMerge [
      (lib.mkIf false { never = { }; })
      { a = { }; }
      { a.mode = "0444"; }
    ];
  };
  specialised = {
    sops.secrets.a = { };
    specialisation.more.configuration.sops.secrets.b = { };
  };
  logs = {
    sops.log = [ ];
    sops.secrets.a = { };
  };
  grub = {
    boot.loader.grub.enable = true;
    boot.loader.grub.device = "/dev/vda";
    sops.secrets.a = { };
  };
  files-in-the-initrd = {
    boot.loader.systemd-boot.enable = true;
    boot.initrd.systemd.enable = true;
    boot.initrd.secrets."/x" = "/etc/x";
    sops.secrets.a = { };
  };
  options-only.sops.gnupg.sshKeyPaths = [ ];
}
