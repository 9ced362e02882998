# Units are restarted when a secret changed: its value or its mode, and not otherwise; a dry activation only says so.
{
  name = "forestage-restart-units";

  nodes.machine =
    { lib, ... }:
    {
      imports = [ ./machine.nix ];
      sops.secrets.test_key.restartUnits = [ "watcher.service" ];
      systemd.services.watcher = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "/bin/sh -c 'cat /run/secrets/test_key >> /var/started; echo >> /var/started'";
        };
      };
      specialisation.mode.configuration.sops.secrets.test_key.mode = "0440";
      specialisation.value.configuration.sops.secrets.test_key.key = "test_user";
    };

  testScript = ''
    def started():
        return machine.succeed("cat /var/started").splitlines()

    def switch(name, action="test"):
        return machine.succeed(f"{system}{name}/bin/switch-to-configuration {action} 2>&1")

    machine.wait_for_unit("multi-user.target")
    system = machine.succeed("readlink -f /run/current-system").strip()
    assert started() == ["test_value"]
    switch("")
    assert started() == ["test_value"]
    out = switch("/specialisation/value", "dry-activate")
    assert "would modify secret: test_key" in out, out
    assert machine.succeed("cat /run/secrets/test_key") == "test_value"
    switch("/specialisation/value")
    assert started() == ["test_value", "user value"]
    switch("/specialisation/mode")
    assert started() == ["test_value", "user value", "test_value"]
    assert machine.succeed("stat -Lc %a /run/secrets/test_key").strip() == "440"
  '';
}
