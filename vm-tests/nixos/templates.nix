# Templates: owners, links, and in the phase before users.
{
  name = "forestage-templates";

  nodes.machine =
    { config, ... }:
    {
      imports = [ ./machine.nix ];
      sops.secrets.test_key = { };
      sops.secrets.test_user.neededForUsers = true;
      sops.templates = {
        owned = {
          content = "key=${config.sops.placeholder.test_key}\n";
          owner = "someuser";
          mode = "0440";
        };
        linked = {
          content = config.sops.placeholder.test_key;
          path = "/etc/externally/linked";
        };
        early = {
          content = "user=${config.sops.placeholder.test_user}";
          neededForUsers = true;
        };
      };
      users.groups.somegroup = { };
      users.users.someuser = {
        isSystemUser = true;
        group = "somegroup";
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /run/secrets/rendered/owned") == "key=test_value\n"
    assert machine.succeed("stat -Lc '%a %U %G' /run/secrets/rendered/owned").strip() == "440 someuser somegroup"
    assert machine.succeed("realpath /etc/externally/linked").strip().endswith("/rendered/linked")
    assert machine.succeed("cat /run/secrets-for-users/rendered/early") == "user=user value"
  '';
}
