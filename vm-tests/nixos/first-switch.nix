# The first switch to a configuration with an initrd ssh key, on a machine that never had it: no step before, and the next boot
# has the key where sshd of stage 1 looks.
{
  name = "forestage-first-switch";

  nodes.machine =
    { ... }:
    {
      imports = [
        ./machine.nix
        ./boots.nix
      ];
      boot.loader.systemd-boot.enable = true;

      specialisation.ssh.configuration = { config, ... }: {
        sops.secrets.host_key.key = "test_key";
        boot.initrd.secrets."/etc/ssh/initrd_host_key" = config.sops.secrets.host_key.path;
        # Stage 1 tells stage 2 what it saw.
        boot.initrd.systemd.services.witness = {
          wantedBy = [ "initrd.target" ];
          after = [ "initrd-nixos-copy-secrets.service" ];
          before = [ "initrd-switch-root.target" ];
          unitConfig.DefaultDependencies = false;
          serviceConfig.Type = "oneshot";
          script = "cp -p /etc/ssh/initrd_host_key /run/witness";
        };
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.fail("test -e /run/secrets/host_key")
    machine.succeed("/run/current-system/specialisation/ssh/bin/switch-to-configuration boot")
    machine.succeed("bootctl set-default '*ssh*'")
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /run/witness") == "test_value"
    assert machine.succeed("stat -c '%a %U' /run/witness").strip() == "400 root"
    # Nothing of it stays on a disk that the running system sees, but for the boot partition.
    machine.fail("test -e /etc/ssh/initrd_host_key")
  '';
}
