"""Debian's initramfs-tools, busybox in stage 1, with our hook: secrets at their final places and in /run (10).

`update-initramfs` makes the initrd in a Debian tree where `make install` laid out the hooks; it fails, and leaves no
secrets, when they cannot be opened. The last script of stage 1 looks at what is there.
"""

from vm.distribution import DIRECTORIES, FILES, STAGE_2, TELL, VALUES, Machine, judge
from vm.kit import PLAIN_ROOT, QUICK

SECONDS = 60


def run(kit):
    machine = Machine(kit)
    machine.secrets(VALUES, FILES, DIRECTORIES)
    machine.file("etc/initramfs-tools/scripts/init-bottom/tell", TELL, 0o755)
    machine.file("etc/initramfs-tools/modules", "virtio_pci\nvirtio_blk\next4\n")
    initrd = machine.upper / f"boot/initrd.img-{machine.version}"
    update = f"update-initramfs -c -k {machine.version}"
    key = machine.upper / "etc/forestage/key.txt"
    key.rename(key.with_suffix(".hidden"))
    said = machine.run(update, status=1)
    kit.holds(f"no word of what is wrong: {said}", "no identity" in said and "/etc/keys/final" in said)
    kit.holds("secrets although none could be opened", b"/.forestage" not in initrd.read_bytes())
    key.with_suffix(".hidden").rename(key)
    machine.run(update)
    kit.equal("the mode of the initrd", initrd.stat().st_mode & 0o777, 0o600)
    luggage = kit.luggage("luggage", STAGE_2)
    told = kit.booted("boot", initrd, [(kit.root(), False), (luggage, False)], f"{PLAIN_ROOT} {QUICK}")
    judge(kit, told)
