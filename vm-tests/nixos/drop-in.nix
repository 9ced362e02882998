# What configurations of sops-nix expect: keys of every kind, names and numbers as owners, an existing directory at /run/secrets,
# pruning, log lines.
{
  name = "forestage-drop-in";

  nodes = {
    age =
      { config, ... }:
      {
        imports = [ ./machine.nix ];
        users.groups.somegroup.gid = 1000;
        users.users.someuser = {
          uid = 1000;
          isNormalUser = true;
          group = "somegroup";
        };
        sops.keepGenerations = 2;
        sops.secrets = {
          test_key = { };
          named = {
            key = "test_key";
            owner = "someuser";
          };
          numbered = {
            key = "test_key";
            uid = 1001;
            gid = 1001;
          };
          linked = {
            key = "test_key";
            path = "/run/linked";
          };
        };
      };
    generated =
      { ... }:
      {
        imports = [ ./machine.nix ];
        # The key is made at the first activation; nothing is encrypted to it, and the machine comes up all the same.
        sops.age.keyFile = "/var/lib/generated.txt";
        sops.age.generateKey = true;
        sops.secrets.test_key = { };
      };
  };

  testScript = ''
    start_all()
    age.wait_for_unit("multi-user.target")
    assert age.succeed("cat /run/secrets/test_key") == "test_value"
    for name, owner in [("test_key", "0 0"), ("named", "1000 1000"), ("numbered", "1001 1001")]:
        assert age.succeed(f"stat -Lc '%u %g' /run/secrets/{name}").strip() == owner
    assert age.succeed("realpath /run/linked").strip() == "/run/secrets.d/1/linked"

    with subtest("generations"):
        age.succeed("mkdir /run/secrets.d/{2..9} /run/secrets.d/non-numeric && ln -fsn /run/secrets.d/9 /run/secrets")
        age.succeed("/run/current-system/activate")
        assert age.succeed("ls /run/secrets.d").split() == ["10", "9", "non-numeric"]

    with subtest("log lines"):
        age.succeed("rm /run/secrets/test_key; echo x > /run/secrets/numbered; touch /run/secrets/stranger")
        out = age.succeed("/run/current-system/bin/switch-to-configuration test")
        for line in ["adding secret: test_key", "modifying secret: numbered", "removing secret: stranger"]:
            assert line in out, out

    generated.wait_for_unit("multi-user.target")
    assert generated.succeed("stat -c %a /var/lib/generated.txt").strip() == "600"
  '';
}
