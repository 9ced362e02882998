# A key on a file system that is mounted late: the unit waits for it.
{
  name = "forestage-impermanence";

  nodes.machine =
    { ... }:
    {
      imports = [ ./machine.nix ];
      test.putKey = false;
      virtualisation.emptyDiskImages = [ 64 ];
      virtualisation.fileSystems."/persist" = {
        device = "/dev/disk/by-label/persist";
        fsType = "ext4";
        options = [ "nofail" ];
      };
      sops.useSystemdActivation = true;
      sops.age.keyFile = "/persist/key.txt";
      sops.secrets.test_key = { };
      systemd.services.reader = {
        after = [ "sops-secrets.target" ];
        wantedBy = [ "multi-user.target" ];
        serviceConfig.Type = "oneshot";
        script = "cat /run/secrets/test_key > /run/read";
      };
    };

  testScript = ''
    key = "${../../nixos-module/tests/data/key.txt}"
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkfs.ext4 -L persist /dev/vdb && mkdir -p /persist && mount /dev/vdb /persist")
    machine.succeed(f"install -m 600 {key} /persist/key.txt && sync && umount /persist")
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /run/read") == "test_value"
    machine.succeed("systemctl show -p RequiresMountsFor sops-install-secrets | grep -q /persist/key.txt")
  '';
}
