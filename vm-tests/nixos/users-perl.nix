# Users by the perl script: passwords are there before it runs.
{
  name = "forestage-users-perl";

  nodes.machine =
    { config, lib, ... }:
    {
      imports = [ ./machine.nix ];
      users.mutableUsers = false;
      users.users.alice.isNormalUser = true;
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
    
  '';
}
