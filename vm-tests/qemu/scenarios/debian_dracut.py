"""Debian's dracut with our module: secrets at their final places and in /run (10).

dracut makes the initrd in a Debian tree where `make install` laid out module and hooks, and calls post-update.d
itself. Stage 1 is systemd with the unit that the module installs.
"""

from vm.distribution import DIRECTORIES, FILES, STAGE_2, TELL, VALUES, Machine, judge
from vm.kit import PLAIN_ROOT, QUICK

SECONDS = 90
MODULE = """#!/bin/bash
check() { return 0; }
install() { inst_hook pre-pivot 50 "$moddir/tell.sh"; }
"""
# What this machine needs: more would only take longer.
MODULES = "bash systemd systemd-initrd systemd-udevd systemd-journald systemd-tmpfiles udev-rules base fs-lib rootfs-block " \
    "dracut-systemd forestage tell"


def run(kit):
    machine = Machine(kit)
    machine.secrets(VALUES, FILES, DIRECTORIES)
    machine.file("usr/lib/dracut/modules.d/99tell/module-setup.sh", MODULE, 0o755)
    machine.file("usr/lib/dracut/modules.d/99tell/tell.sh", TELL, 0o755)
    initrd = machine.upper / "boot/initrd.img"
    machine.run(f"dracut --quiet --force --no-hostonly --modules '{MODULES}' --add-drivers 'virtio_pci virtio_blk ext4' "
                f"--compress 'zstd -q -1' --kver {machine.version} /boot/initrd.img")
    kit.equal("the mode of the initrd", initrd.stat().st_mode & 0o777, 0o600)
    listed = kit.run(kit.forestage, "initrd", "list", initrd).stdout.decode()
    kit.holds(f"post-update.d did nothing: {listed}", "/etc/keys/final" in listed)
    luggage = kit.luggage("luggage", STAGE_2)
    told = kit.booted("boot", initrd, [(kit.root(), False), (luggage, False)], f"{PLAIN_ROOT} {QUICK} rd.shell=0 rd.emergency=poweroff")
    judge(kit, told)
