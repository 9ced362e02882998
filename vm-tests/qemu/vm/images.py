"""Initrds and disks made of a Debian tree: the programs that are named here, with the libraries that they need."""

import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import debian
from .newc import Archive

GUEST = Path(__file__).resolve().parents[1] / "guest"
LIBRARIES = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd", "usr/lib64"]
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
# Opened at run time, so that no program names them.
OPENED = ["libcryptsetup.so.12", "libkmod.so.2", "libblkid.so.1", "libmount.so.1", "libcrypt.so.1", "libacl.so.1"]
MODULES = ["virtio_blk", "virtio_net", "virtio-rng", "dm-crypt", "dm-mod", "xts", "vfat", "nls_cp437", "nls_ascii",
           "nls_iso8859-1", "nls_utf8", "aesni-intel"]
SYSTEMD = ["systemd", "systemd-executor", "systemd-journald", "systemd-shutdown"]
UNITS_OF_BOTH = """
    basic.target sysinit.target sockets.target paths.target slices.target timers.target swap.target local-fs.target
    local-fs-pre.target shutdown.target umount.target final.target poweroff.target reboot.target halt.target
    systemd-poweroff.service systemd-reboot.service emergency.target rescue.target
    systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket network-pre.target network.target
    remote-fs.target remote-fs-pre.target""".split()
UNITS_OF_STAGE_1 = """
    initrd.target initrd-fs.target initrd-root-device.target initrd-root-fs.target initrd-usr-fs.target
    initrd-switch-root.target initrd-switch-root.service initrd-cleanup.service initrd-parse-etc.service
    initrd-udevadm-cleanup-db.service cryptsetup.target cryptsetup-pre.target remote-cryptsetup.target
    blockdev@.target systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
    systemd-udev-trigger.service systemd-modules-load.service system-systemd\\x2dcryptsetup.slice""".split()
RULES = ["50-udev-default", "55-dm", "60-block", "60-persistent-storage", "60-persistent-storage-dm", "80-drivers",
         "95-dm-notify", "99-systemd"]


def needed(program):
    """The libraries that an ELF file names."""
    data = program.read_bytes()
    if data[:4] != b"\x7fELF":
        return []
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, offset + i * size) for i in range(count)]
    loads = [(h[3], h[2]) for h in headers if h[0] == 1]
    dynamic = next((h for h in headers if h[0] == 2), None)
    if dynamic is None:
        return []
    entries = [struct.unpack_from("<qQ", data, at) for at in range(dynamic[2], dynamic[2] + dynamic[5], 16)]
    strings = next(value for tag, value in entries if tag == 5)
    address, start = max((a, o) for a, o in loads if a <= strings)
    names = [strings - address + start + value for tag, value in entries if tag == 1]
    return [data[at : data.index(b"\0", at)].decode() for at in names]


def closure(tree, programs):
    """The paths, relative to the tree, of the programs and all that they load; symlinks with what they lead to."""
    todo, all_paths = [LOADER, *programs, *(library(tree, name) for name in OPENED)], set()
    while todo:
        path = todo.pop()
        if path in all_paths:
            continue
        all_paths.add(path)
        if (tree / path).is_symlink():
            target = os.path.normpath(os.path.join("/", os.path.dirname(path), (tree / path).readlink())).strip("/")
            # By its real path: an entry for lib would replace the symlink lib -> usr/lib.
            todo.append(f"usr/{target}" if target.startswith(("lib", "bin", "sbin")) else target)
        else:
            todo.extend(library(tree, name) for name in needed(tree / path))
    return sorted(all_paths)


def library(tree, name):
    return next(f"{directory}/{name}" for directory in LIBRARIES if (tree / directory / name).exists())


def units(tree, archive, names):
    """The units, and among their wants those that are also there."""
    source = tree / "usr/lib/systemd/system"
    for name in names:
        archive.copy(source / name, f"usr/lib/systemd/system/{name}")
    for wants in sorted(source.glob("*.wants")):
        for link in sorted(wants.iterdir()):
            if wants.name.removesuffix(".wants") in names and link.name in names:
                archive.link(f"usr/lib/systemd/system/{wants.name}/{link.name}", f"../{link.name}")


def skeleton(archive):
    for directory in ("dev", "proc", "sys", "run", "etc", "var", "tmp", "mnt", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        archive.directory(directory, 0o1777 if directory == "tmp" else 0o755)
    archive.directory("root", 0o700)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.link(name, f"usr/{name}")
    archive.link("var/run", "/run")
    archive.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\nalice:x:1000:1000::/:/bin/sh\n")
    archive.file("etc/group", "root:x:0:\nkeys:x:96:\nalice:x:1000:\ntty:x:5:\nnogroup:x:65534:\n")
    archive.file("etc/nsswitch.conf", "passwd: files\ngroup: files\n")
    archive.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    archive.file("etc/os-release", "ID=forestage-vm\nNAME=forestage-vm\n")


def shell(tree, archive):
    archive.copy(tree / "usr/bin/busybox", "usr/bin/busybox")
    for applet in ("sh", "mount", "umount", "cat", "ls", "sleep", "ip", "stat", "sha256sum", "base64", "readlink", "true",
                   "sync", "poweroff", "find", "insmod", "dd", "df", "mkdir", "touch", "echo", "modprobe", "cp", "mv", "rm", "grep", "head", "tail", "sed", "seq"):
        archive.link(f"usr/bin/{applet}", "busybox")


def modules(tree, archive):
    version = debian.kernel_version(tree)
    base = tree / "usr/lib/modules" / version
    depends = {}
    for line in (base / "modules.dep").read_text().splitlines():
        name, _, rest = line.partition(":")
        depends[name] = rest.split()
    wanted = [path for path in depends if Path(path).name.removesuffix(".ko.xz") in MODULES]
    found = sorted(set(wanted).union(*(depends[path] for path in wanted)))
    with tempfile.TemporaryDirectory(dir=debian.cache()) as scratch:
        top = Path(scratch) / "lib/modules" / version
        for path in found:
            target = top / path.removesuffix(".xz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(lzma.decompress((base / path).read_bytes()))
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copy(base / name, top / name)
        # Some symbols of the modules are the kernel's, which depmod does not see here.
        subprocess.run(["depmod", "-b", scratch, version], check=True, stderr=subprocess.DEVNULL)
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            archive.file(f"usr/lib/modules/{version}/{path.relative_to(top)}", path.read_bytes())
    archive.file("etc/modules-load.d/vm.conf", "".join(f"{name}\n" for name in MODULES))


def common(tree):
    """What all initrds with systemd have, compressed; in the cache."""

    def make(path):
        archive = Archive()
        skeleton(archive)
        shell(tree, archive)
        modules(tree, archive)
        programs = [f"usr/lib/systemd/{name}" for name in SYSTEMD]
        programs += [f"usr/lib/systemd/systemd-{name}" for name in ("udevd", "modules-load", "cryptsetup", "sysroot-fstab-check")]
        programs += [f"usr/lib/systemd/system-generators/systemd-{name}-generator" for name in ("cryptsetup", "fstab", "debug")]
        programs += ["usr/bin/systemctl", "usr/bin/journalctl", "usr/bin/udevadm", "usr/bin/kmod", "usr/sbin/dmsetup",
                     "usr/sbin/sshd", "usr/lib/openssh/sshd-session", "usr/lib/openssh/sshd-auth"]
        for name in closure(tree, programs):
            archive.copy(tree / name, name)
        archive.link("usr/sbin/modprobe", "../bin/kmod")
        archive.link("init", "usr/lib/systemd/systemd")
        archive.link("etc/initrd-release", "os-release")
        units(tree, archive, UNITS_OF_BOTH + UNITS_OF_STAGE_1)
        for name in RULES:
            archive.copy(tree / f"usr/lib/udev/rules.d/{name}.rules", f"usr/lib/udev/rules.d/{name}.rules")
        for source in sorted((GUEST / "stage1").iterdir()):
            archive.file(f"usr/lib/systemd/system/{source.name}", source.read_bytes())
        for name in ("network.service", "gate.service", "sshd.service", "beside.service"):
            archive.link(f"usr/lib/systemd/system/sysinit.target.wants/{name}", f"../{name}")
        archive.copy(GUEST / "facts", "facts")
        compress(archive.bytes(), path)

    return debian.once(f"common-{source_key(tree)}.zst", make)


def minimal(tree, forestage, script, files=None, with_modules=False):
    """The smallest initrd that does anything, uncompressed: busybox, forestage, and `script` as init, which tells on
    ttyS1. It boots in 3 seconds."""
    archive = Archive()
    for directory in ("dev", "proc", "run", "etc", "mnt", "usr/bin"):
        archive.directory(directory)
    archive.link("bin", "usr/bin")
    if with_modules:
        archive.link("lib", "usr/lib")
        modules(tree, archive)
    shell(tree, archive)
    archive.copy(GUEST / "facts", "facts")
    archive.copy(forestage, "usr/bin/forestage")
    for path, content in (files or {}).items():
        archive.file(path, content)
    archive.file("init", MINIMAL_INIT.replace("SCRIPT", script), 0o755)
    return archive.bytes()


MINIMAL_INIT = """#!/usr/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
exec >/dev/ttyS1 2>&1
SCRIPT
echo end
poweroff -f
"""


def source_key(tree):
    """Changes when what images are made of changes."""
    hashed = hashlib.sha256(tree.name.encode())
    for path in sorted([*GUEST.rglob("*"), *Path(__file__).parent.glob("*.py")]):
        if path.is_file():
            hashed.update(path.read_bytes())
    return hashed.hexdigest()[:12]


def compress(data, path):
    subprocess.run(["zstd", "-q", "-1", "-T0", "-o", path], input=data, check=True)


def root(tree):
    """The ext4 image of stage 2, with a real systemd and, as /quick, an init that only tells; in the cache."""

    def make(path):
        archive = Archive()
        skeleton(archive)
        shell(tree, archive)
        programs = [f"usr/lib/systemd/{name}" for name in SYSTEMD]
        for name in closure(tree, [*programs, "usr/bin/systemctl", "usr/bin/journalctl", "usr/bin/kmod"]):
            archive.copy(tree / name, name)
        archive.link("usr/sbin/init", "../lib/systemd/systemd")
        archive.directory("luggage")
        archive.directory("sysroot")
        units(tree, archive, UNITS_OF_BOTH)
        for source in sorted((GUEST / "stage2").iterdir()):
            archive.file(f"usr/lib/systemd/system/{source.name}", source.read_bytes())
        archive.link("usr/lib/systemd/system/default.target", "facts.target")
        archive.copy(GUEST / "facts", "facts")
        archive.copy(GUEST / "quick", "quick")
        with_directory(archive.bytes(), lambda directory: ext4(directory, path, 160))

    return debian.once(f"root-{source_key(tree)}.ext4", make)


def with_directory(archive, use):
    directory = debian.cache() / f".unpacked-{os.getpid()}"
    debian.remove(directory)
    directory.mkdir()
    try:
        subprocess.run(["cpio", "-i", "--quiet", "-d"], input=archive, cwd=directory, check=True)
        use(directory)
    finally:
        shutil.rmtree(directory)


def ext4(directory, path, megabytes):
    # Everything belongs to root, whoever runs this.
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", directory, path, f"{megabytes}M"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def vfat(path, megabytes, files=()):
    """A FAT file system without a partition table; `files`: (source, name in it)."""
    with open(path, "wb") as image:
        image.truncate(megabytes << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", "-s", "1", path], check=True, stdout=subprocess.DEVNULL)
    for source, name in files:
        for depth in range(1, name.count("/") + 1):
            directory = "/".join(name.split("/")[:depth])
            subprocess.run(["mmd", "-D", "s", "-i", path, f"::{directory}"], stderr=subprocess.DEVNULL)
        subprocess.run(["mcopy", "-i", path, source, f"::{name}"], check=True)


def encrypted(plain, key, path):
    """A copy of the image in LUKS2 (argon2id), that the bytes in the file `key` open."""
    subprocess.run(["cp", "--sparse=always", plain, path], check=True)
    with open(path, "r+b") as image:
        image.truncate(path.stat().st_size + (16 << 20))
    subprocess.run(
        ["cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "--reduce-device-size", "16M", "--pbkdf", "argon2id",
         "--pbkdf-memory", "32", "--pbkdf-parallel", "1", "--pbkdf-force-iterations", "4", "--batch-mode",
         "--key-file", key, path],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
