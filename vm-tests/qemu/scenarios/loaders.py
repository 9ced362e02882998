"""systemd-boot with a type 1 entry that kernel-install made, a unified kernel image, and GRUB with a second initrd, under OVMF (6).

The plugins of kernel-install stage `initrd-zz-forestage` and fill it on the boot partition; for GRUB the secrets are a
file of their own that the appender made. A unified kernel image is put together from an initrd that has its secrets.
`forestage status` knows all three, and says when they are stale.
"""

import json
import shutil
from pathlib import Path

from vm import boot, debian, images
from vm.distribution import Machine
from vm.kit import PLAIN_ROOT, QUICK

SECONDS = 150
TOOLS = ["grub-mkstandalone", "objcopy"]
CODE, VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
STAGE_2 = "/facts /run/owned/key\n"
FILES = {"/run/owned/key": ("owned", {"mode": "0440", "uid": 1000, "gid": 1000})}
COMMAND_LINE = f"{boot.APPEND} {PLAIN_ROOT} {QUICK}"


def run(kit):
    for path, package in ((CODE, "ovmf"), (Path("/usr/lib/grub/x86_64-efi/linux.mod"), "grub-efi-amd64-bin")):
        if not path.exists():
            raise debian.Unavailable(f"not installed: {package}")
    machine = Machine(kit)
    bare = kit.initrd("bare", {"/run/owned/key": "owned"})
    luggage = kit.luggage("luggage", STAGE_2)
    with_systemd_boot(kit, machine, bare, luggage)
    with_image(kit, machine, bare, luggage)
    with_grub(kit, machine, bare, luggage)


def with_systemd_boot(kit, machine, bare, luggage):
    machine.secrets({"owned": "by systemd-boot"}, FILES)
    machine.file("etc/kernel/install.conf", "layout=bls\ninitrd_generator=none\nBOOT_ROOT=/esp\n")
    machine.file("etc/kernel/cmdline", COMMAND_LINE)
    # As Debian names it: in the order of bytes this is behind initrd-zz-forestage.
    shutil.copy(bare, machine.file(f"boot/initrd.img-{machine.version}", ""))
    (machine.esp / "EFI/BOOT").mkdir(parents=True)
    loader = machine.tree / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    shutil.copy(loader, machine.esp / "EFI/BOOT/BOOTX64.EFI")
    add = f"kernel-install add {machine.version} /boot/vmlinuz-{machine.version}"
    key = machine.upper / "etc/forestage/key.txt"
    key.rename(key.with_suffix(".hidden"))
    machine.run(f"! {add}")
    kit.equal("entries although nothing could be opened", list((machine.esp / "loader").glob("entries/*")), [])
    key.with_suffix(".hidden").rename(key)
    machine.run(add)
    entry = next((machine.esp / "loader/entries").glob("*.conf"))
    initrds = [line.split()[1] for line in entry.read_text().splitlines() if line.startswith("initrd ")]
    kit.equal("the initrds of the entry", [Path(path).name for path in initrds],
              [f"initrd.img-{machine.version}", "initrd-zz-forestage"])
    for path in initrds:
        kit.equal(f"the mode of {path}", (machine.esp / path.lstrip("/")).stat().st_mode & 0o777, 0o600)
    (machine.esp / "loader/loader.conf").write_text(f"timeout 0\ndefault {entry.name}\n")
    status(kit, machine, entry.name)
    booted(kit, machine.esp, luggage, "systemd-boot", b"by systemd-boot")


def with_image(kit, machine, bare, luggage):
    """systemd's stub and systemd-boot, put together by objcopy as ukify of before 254 did."""
    shutil.rmtree(machine.esp / "loader")
    machine.secrets({"owned": "by an image"}, FILES)
    initrd = machine.esp / "initrd"
    shutil.copy(bare, initrd)
    machine.run("forestage initrd append --manifest /etc/forestage/initrd-manifest.json /esp/initrd")
    parts = {".osrel": kit.file("os-release", "ID=debian\nPRETTY_NAME=Debian\nVERSION_ID=13\n"),
             ".cmdline": kit.file("cmdline", COMMAND_LINE), ".linux": debian.kernel(machine.tree), ".initrd": initrd}
    stub = machine.tree / "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    lines = map(str.split, kit.run("objdump", "-h", stub).stdout.decode().splitlines())
    page, options = 0x1000, []
    at = max(int(words[3], 16) + int(words[2], 16) for words in lines if len(words) == 7 and words[0].isdigit())
    for name, path in parts.items():
        at = -(-at // page) * page
        options += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}={at:#x}"]
        at += path.stat().st_size
    image = machine.esp / "EFI/Linux/debian.efi"
    image.parent.mkdir()
    kit.run("objcopy", *options, stub, image)
    initrd.unlink()
    status(kit, machine, "debian.efi")
    booted(kit, machine.esp, luggage, "image", b"by an image")


def with_grub(kit, machine, bare, luggage):
    shutil.rmtree(machine.esp)
    (machine.esp / "grub").mkdir(parents=True)
    (machine.esp / "EFI/BOOT").mkdir(parents=True)
    machine.secrets({"owned": "by GRUB"}, FILES)
    shutil.copy(debian.kernel(machine.tree), machine.esp / "vmlinuz")
    shutil.copy(bare, machine.esp / "initrd.img")
    machine.run("forestage initrd append --manifest /etc/forestage/initrd-manifest.json /esp/secrets.img")
    (machine.esp / "grub/grub.cfg").write_text(
        f"set timeout=0\nset default=0\nmenuentry 'Debian' --id debian {{\n  linux /vmlinuz {COMMAND_LINE}\n  initrd /initrd.img /secrets.img\n}}\n")
    early = kit.file("early.cfg", "search --no-floppy --file --set=root /grub/grub.cfg\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n")
    kit.run("grub-mkstandalone", "-O", "x86_64-efi", "-o", machine.esp / "EFI/BOOT/BOOTX64.EFI", f"boot/grub/grub.cfg={early}",
            "--modules=part_gpt fat search search_fs_file linux normal configfile", "--install-modules=", "--fonts=", "--themes=", "--locales=")
    status(kit, machine, "debian")
    booted(kit, machine.esp, luggage, "grub", b"by GRUB")


def status(kit, machine, default):
    """Fresh; stale once the sops file is another; and fresh again."""
    sops_file = machine.upper / "etc/forestage/secrets.yaml"
    good = sops_file.read_bytes()
    for content, code, state in [(good, 0, "fresh"), (good + b"# changed\n", 5, "stale"), (good, 0, "fresh")]:
        sops_file.write_bytes(content)
        said = machine.run("forestage status --json --esp /esp", status=code)
        told = json.loads(said.splitlines()[0])
        kit.equal("forestage status", (told["default"], told["state"]), (default, state))


def booted(kit, esp, luggage, name, content):
    image = kit.path(f"{name}.img")
    files = [(path, str(path.relative_to(esp))) for path in sorted(esp.rglob("*")) if path.is_file()]
    images.vfat(image, 64 + sum(path.stat().st_size for path, _ in files) // (1 << 20), files)
    variables = kit.path(f"{name}.vars")
    shutil.copy(VARS, variables)
    flash = ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}", "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
    disks = [(kit.root(), False), (luggage, False), (image, False)]
    with kit.boot(name, None, disks, "", kernel=None, memory=1024, extra=flash) as machine:
        told = machine.wait()
    fact = told.facts["/run/owned/key"]
    kit.equal(f"{name}: /run/owned/key", (fact.kind, fact.mode, fact.uid, fact.content), ("file", 0o440, 1000, content))
