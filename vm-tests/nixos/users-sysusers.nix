# Users by systemd-sysusers: the unit of the passwords is before it.
{
  name = "forestage-users-sysusers";

  nodes.machine =
    { config, lib, ... }:
    {
      imports = [ ./machine.nix ];
      systemd.sysusers.enable = true;
      users.mutableUsers = true;
      system.etc.overlay.enable = true;
      boot.initrd.systemd.enable = true;
      users.users.alice = {
        isSystemUser = true;
        group = "users";
      };
      sops.secrets.password = {
        key = lib.mkDefault "test_key";
        neededForUsers = true;
      };
      users.users.alice.hashedPasswordFile = config.sops.secrets.password.path;
      sops.secrets."nested/test/file".owner = "alice";
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.succeed("getent shadow alice | grep -q ':test_value:'")
    assert machine.succeed("stat -c %U /run/secrets/nested/test/file").strip() == "alice"
    assert machine.succeed("cat /run/secrets-for-users/password") == "test_value"
    machine.succeed("systemctl is-active sops-install-secrets-for-users.service sops-secrets.target")
  '';
}
