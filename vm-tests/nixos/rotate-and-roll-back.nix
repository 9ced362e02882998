# A rotated secret is in the new generation's initrd, and the old generation still boots with the old one.
{
  name = "forestage-rotate-and-roll-back";

  nodes.machine =
    { lib, ... }:
    {
      imports = [
        ./machine.nix
        ./boots.nix
      ];
      boot.loader.systemd-boot.enable = true;
      sops.secrets.shown = {
        key = lib.mkDefault "test_key";
        initrd.enable = true;
        initrd.path = "/run/shown";
      };
      specialisation.rotated.configuration.sops.secrets.shown.key = "test_user";
    };

  testScript = ''
    def boot(entry):
        machine.succeed(f"bootctl set-oneshot {entry}")
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("multi-user.target")

    machine.wait_for_unit("multi-user.target")
    machine.succeed("/run/current-system/bin/switch-to-configuration boot")
    entries = machine.succeed("ls /boot/loader/entries").split()
    rotated = next(entry for entry in entries if "rotated" in entry)
    plain = next(entry for entry in entries if "rotated" not in entry)
    boot(rotated)
    assert machine.succeed("cat /run/shown") == "user value"
    boot(plain)
    assert machine.succeed("cat /run/shown") == "test_value"
  '';
}
