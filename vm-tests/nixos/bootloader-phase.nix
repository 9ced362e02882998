# Secrets that exist only while the bootloader is installed: a password file of GRUB.
{
  name = "forestage-bootloader-phase";

  nodes.machine =
    { config, ... }:
    {
      imports = [
        ./machine.nix
        ./boots.nix
      ];
      boot.loader.grub = {
        enable = true;
        efiSupport = true;
        device = "nodev";
        users.admin.passwordFile = config.sops.secrets.grub.path;
      };
      sops.secrets.grub = {
        key = "test_key";
        neededForBootloader = true;
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.succeed("/run/current-system/bin/switch-to-configuration boot")
    machine.succeed("grep -q 'password admin test_value' /boot/grub/grub.cfg")
    machine.fail("test -e /run/secrets-for-bootloader")
    machine.fail("test -e /run/secrets-for-bootloader.d")
    # Without the key the bootloader is not touched.
    before = machine.succeed("sha256sum /boot/grub/grub.cfg")
    machine.succeed("rm /run/age-key.txt")
    machine.fail("/run/current-system/bin/switch-to-configuration boot")
    assert machine.succeed("sha256sum /boot/grub/grub.cfg") == before
  '';
}
