# Users by userborn: passwords are there before it, and it runs again when they change.
{
  name = "forestage-users-userborn";

  nodes.machine =
    { config, lib, ... }:
    {
      imports = [ ./machine.nix ];
      services.userborn.enable = true;
      users.mutableUsers = false;
      system.etc.overlay.enable = true;
      boot.initrd.systemd.enable = true;
      users.users.alice.isNormalUser = true;
      specialisation.changed.configuration.sops.secrets.password.key = lib.mkForce "test_user";
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
    machine.succeed("/run/current-system/specialisation/changed/bin/switch-to-configuration test")
    machine.succeed("getent shadow alice | grep -q ':user value:'")
  '';
}
