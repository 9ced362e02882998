# nixos-install of a system with initrd secrets: no systemd runs in the chroot, /run is empty, and the key is on the target.
{
  name = "forestage-nixos-install";

  nodes = {
    target =
      { ... }:
      {
        imports = [
          ./machine.nix
          ./boots.nix
        ];
        test.putKey = false;
        boot.loader.systemd-boot.enable = true;
        sops.age.keyFile = "/var/lib/key.txt";
        sops.secrets.test_key.initrd = {
          enable = true;
          path = "/run/initrd-secret";
        };
      };
    installer =
      { nodes, pkgs, ... }:
      {
        virtualisation.additionalPaths = [ nodes.target.system.build.toplevel ];
        virtualisation.emptyDiskImages = [ 4096 ];
        virtualisation.writableStore = true;
        environment.systemPackages = [
          pkgs.dosfstools
          pkgs.parted
          nodes.target.sops.package
        ];
      };
  };

  testScript =
    { nodes, ... }:
    ''
      installer.start()
      installer.wait_for_unit("multi-user.target")
      installer.succeed(
          "parted -s /dev/vdb mklabel gpt mkpart ESP fat32 1MiB 512MiB set 1 esp on mkpart root ext4 512MiB 100%",
          "udevadm settle",
          "mkfs.vfat -n ESP /dev/vdb1 && mkfs.ext4 -L nixos /dev/vdb2",
          "mount /dev/vdb2 /mnt && mkdir -p /mnt/boot /mnt/var/lib && mount -o umask=0077 /dev/vdb1 /mnt/boot",
          "install -m 600 ${../../nixos-module/tests/data/key.txt} /mnt/var/lib/key.txt",
          "nixos-install --no-root-passwd --no-channel-copy --system ${nodes.target.system.build.toplevel} >&2",
      )
      initrd = installer.succeed("ls /mnt/boot/EFI/nixos/*initrd*").split()[0]
      listed = installer.succeed(f"forestage initrd list {initrd}")
      assert "whole" in listed and "/run/initrd-secret" in listed, listed
    '';
}
