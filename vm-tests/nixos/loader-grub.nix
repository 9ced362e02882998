# GRUB: the segment is a second initrd of its own.
{
  name = "forestage-loader-grub";

  nodes.machine =
    { ... }:
    {
      imports = [
        ./machine.nix
        ./boots.nix
      ];
      boot.loader.grub = {
        enable = true;
        efiSupport = true;
        device = "nodev";
      };
      boot.loader.efi.efiSysMountPoint = "/boot";
      sops.secrets.test_key.initrd.enable = true;
      sops.secrets."nested/test/file".initrd = {
        enable = true;
        path = "/run/initrd-secret";
        owner = 1234;
        mode = "0440";
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    # Stage 1 had them, and /run outlives it.
    assert machine.succeed("cat /run/initrd-secret") == "another value"
    assert machine.succeed("stat -c '%a %u' /run/initrd-secret").strip() == "440 1234"
    # Stage 2 took over what lies below /run/secrets.
    assert machine.succeed("readlink /run/secrets").startswith("/run/secrets.d/")
    assert machine.succeed("cat /run/secrets/test_key") == "test_value"

    machine.succeed("/run/current-system/bin/switch-to-configuration boot")
    machine.succeed("/run/current-system/bin/switch-to-configuration boot")
    files = machine.succeed("find /boot -type f -name '*initrd*' -o -type f -name '*-secrets*'").split()
    whole = [file for file in files if "whole" in machine.execute(f"forestage initrd list {file}")[1]]
    assert whole, files
    for file in whole:
        assert machine.succeed(f"forestage initrd list {file}").count("segment at") == 1
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /run/initrd-secret") == "another value"
  '';
}
