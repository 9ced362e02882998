# Where the installer of the bootloader puts initrds.
loader:
if loader.grub.enable then
  map (boot: boot.path) loader.grub.mirroredBoots
else if (loader.systemd-boot.xbootldrMountPoint or null) != null then
  [ loader.systemd-boot.xbootldrMountPoint ]
else
  [ loader.efi.efiSysMountPoint ]
