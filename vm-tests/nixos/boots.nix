# A machine that boots by its own boot loader, with room for initrds.
{
  virtualisation = {
    useBootLoader = true;
    useEFIBoot = true;
    mountHostNixStore = true;
    memorySize = 1024;
    diskSize = 2048;
  };
  boot.loader.timeout = 0;
  boot.loader.efi.canTouchEfiVariables = true;
  boot.initrd.systemd.enable = true;
}
