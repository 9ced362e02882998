"""A Debian machine to make initrds and boot entries in: an overlay over an unpacked tree, entered by chroot."""

import json
import os
import subprocess

from . import debian
from .boot import Failed
from .kit import SOURCE

# Beside what the framework needs itself: two makers of initrds, kernel-install, and what their scripts call.
PACKAGES = [
    "initramfs-tools", "dracut-core", "systemd-boot-tools", "systemd-boot-efi", "systemd-sysv", "bash", "dash", "coreutils",
    "sed", "grep", "findutils", "util-linux", "mount", "debianutils", "base-files", "libc-bin", "gzip", "zstd", "cpio", "mawk",
    "hostname", "procps", "login",
]
MOUNTS = """
mount -t overlay overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /sys "$2/root/sys"
mount --rbind /dev "$2/root/dev"
for directory in run tmp var/tmp; do mkdir -p "$2/root/$directory"; mount -t tmpfs tmpfs "$2/root/$directory"; done
mkdir -p "$2/root/esp"
mount --bind "$2/esp" "$2/root/esp"
exec chroot "$2/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root sh -euc "$3"
"""

# Both makers of initrds are looked at alike: a file at its final place, one with an owner in /run, one of /run/secrets.
VALUES = {"final": "at its final place", "owned": "for alice", "y": "value of y"}
FILES = {"/etc/keys/final": "final", "/run/secrets/y": "y", "/run/owned/key": ("owned", {"mode": "0440", "uid": 1000, "gid": 1000})}
DIRECTORIES = [("/etc/keys", "0700")]
# At the end of stage 1: stage 2 sees only what is in /run.
TELL = """#!/bin/sh
[ "$1" = prereqs ] && exit 0
mkdir -p /run/told
cp -a /etc/keys/final /run/told/final
[ ! -e /.forestage/files ] || touch /run/told/a-second-copy
"""
STAGE_2 = "/facts /run/told/final /run/told/a-second-copy /run/owned/key /run/secrets-for-initrd/y /run/secrets\n"


class Machine:
    def __init__(self, kit):
        if os.geteuid() != 0:
            raise debian.Unavailable("only root can enter a Debian tree by chroot")
        self.kit = kit
        self.manifests = 0
        self.tree = debian.tree(PACKAGES)
        self.version = debian.kernel_version(self.tree)
        self.directory = kit.path("machine/x").parent
        self.upper, self.esp = self.directory / "upper", self.directory / "esp"
        for name in ("upper", "work", "root", "esp"):
            (self.directory / name).mkdir()
        # What packages do when they are configured, as far as it is needed here.
        self.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        self.file("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")
        self.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        if not (self.tree / "usr/bin/awk").exists():
            (self.upper / "usr/bin").mkdir(parents=True)
            (self.upper / "usr/bin/awk").symlink_to("mawk")
        kit.run(SOURCE / "boot-hooks/install", kit.forestage, self.upper, "/usr")
        # dracut asks its cache where libraries are.
        self.run("ldconfig")

    def file(self, name, content, mode=0o644):
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def secrets(self, values, files, directories=()):
        """The manifest of this machine, as one writes it by hand. `files`: as for Kit.manifest."""
        self.manifests += 1
        key, recipient = self.kit.identity(f"key{self.manifests}.txt")
        self.file("etc/forestage/key.txt", key.read_bytes(), 0o600)
        self.file("etc/forestage/secrets.yaml", self.kit.sops("secrets.yaml", values, recipient).read_bytes())
        manifest = self.kit.manifest("initrd-manifest.json", "/etc/forestage/secrets.yaml", "/etc/forestage/key.txt", files,
                                     directories)
        self.file("etc/forestage/initrd-manifest.json", json.dumps(json.loads(manifest.read_text()), indent=2))

    def run(self, script, status=0):
        """Runs a shell script in the machine, without an environment; what it said."""
        command = ["unshare", "--mount", "sh", "-euc", MOUNTS, "sh", self.tree, self.directory, script]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != status:
            raise Failed(f"{script.strip().splitlines()[-1]} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr


def judge(kit, told):
    """What STAGE_2 told."""
    for path, name, mode, owner in [("/run/told/final", "final", 0o400, 0), ("/run/owned/key", "owned", 0o440, 1000),
                                    ("/run/secrets-for-initrd/y", "y", 0o400, 0)]:
        fact = told.facts[path]
        kit.equal(path, (fact.kind, fact.mode, fact.uid, fact.gid, fact.content),
                  ("file", mode, owner, owner, VALUES[name].encode()))
    kit.equal("/run/secrets", told.facts["/run/secrets"].content, "/run/secrets-for-initrd")
    kit.equal("a second copy in stage 1", told.facts["/run/told/a-second-copy"].kind, "absent")
