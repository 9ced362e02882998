"""What a scenario gets: a directory of its own, keys, sops files, the program under test, initrds, disks, boots."""

import json
import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import debian, images
from .boot import JOBS, Boot, Failed, Told
from .newc import Archive

SOURCE = Path(__file__).resolve().parents[3]
PLAIN_ROOT = "root=/dev/vda rootfstype=ext4 rd.luks=0"
LUKS_ROOT = "root=/dev/mapper/root rootfstype=ext4"
QUICK = "init=/quick"
_TOOLS = {}
_LOCK = threading.Lock()


def program():
    given = os.environ.get("FORESTAGE_BINARY")
    return Path(given or SOURCE / "target/x86_64-unknown-linux-musl/release/forestage").resolve()


def tool(script, *arguments):
    """The path that a script of tests/tools prints."""
    with _LOCK:
        key = (script, *arguments)
        if key not in _TOOLS:
            done = subprocess.run([SOURCE / "tests/tools" / script, *arguments], capture_output=True, text=True)
            if done.returncode:
                raise debian.Unavailable((done.stderr.strip().splitlines() or [f"{script} fails"])[-1])
            _TOOLS[key] = done.stdout.strip()
        return _TOOLS[key]


class Kit:
    def __init__(self, directory):
        self.directory = directory
        self.directory.mkdir(parents=True)
        self.tree = debian.tree()
        self.forestage = program()
        self.notes = []
        self.boots = 0

    def note(self, text):
        """Something worth knowing, printed behind the scenario's line."""
        self.notes.append(text)

    def path(self, name):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def file(self, name, content):
        path = self.path(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # -- claims

    def equal(self, what, found, expected):
        if found != expected:
            raise Failed(f"{what}: found {found!r}, expected {expected!r}")

    def holds(self, what, claim):
        if not claim:
            raise Failed(what)

    # -- programs

    def run(self, *command, status=0, env=None, **options):
        """Runs a program that has to end with `status`; its output."""
        options = {"capture_output": True, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run([str(word) for word in command], env={**os.environ, **(env or {})}, **options)
        if status is not None and done.returncode != status:
            errors = (done.stderr or b"").decode(errors="replace").strip()
            raise Failed(f"{Path(str(command[0])).name} {' '.join(map(str, command[1:3]))} ended with {done.returncode}: {errors}")
        return done

    def identity(self, name="key.txt"):
        """An age identity: its file, and the recipient."""
        path = self.path(name)
        self.run(tool("go-program", "filippo.io/age/cmd/age-keygen", "1.3.1"), "-o", path)
        recipient = next(line.split()[-1] for line in path.read_text().splitlines() if "public key" in line)
        return path, recipient

    def sops(self, name, values, recipient):
        """A sops file with these values, written by the real sops."""
        plain = self.file(f"{name}.plain.yaml", json.dumps(values))
        encrypted = self.run(tool("sops", "3.12.2"), "encrypt", "--age", recipient, "--input-type", "yaml",
                             "--output-type", "yaml", plain, env={"HOME": str(self.directory)}).stdout
        plain.unlink()
        return self.file(name, encrypted)

    def manifest(self, name, sops_file, key, files, directories=(), **fields):
        """A manifest of the initrd phase. `files`: {target: secret name or (name, {field: value})}."""
        wanted = {}
        entries = []
        for target, what in files.items():
            secret, more = what if isinstance(what, tuple) else (what, {})
            wanted[secret] = {"name": secret, "key": secret, "sopsFile": str(sops_file), "format": "yaml", "mode": "0400"}
            entries.append({"target": target, "secret": secret, **more})
        manifest = {"version": 1, "phase": "initrd", "ageKeyFile": str(key), "secrets": list(wanted.values()), "files": entries,
                    "directories": [{"path": path, "mode": mode} for path, mode in directories], **fields}
        return self.file(name, json.dumps(manifest))

    def append(self, manifest, initrd, *options, status=0):
        """`forestage initrd append`, without an environment as loaders call it."""
        return self.run(self.forestage, "initrd", "append", "--manifest", manifest, *options, initrd, status=status)

    # -- images

    def initrd(self, name, expected=None, files=None, modes=None, units=None):
        """An initrd with systemd and forestage, but without secrets: `expected`: {target: name}; `files`: {path: content};
        `units`: {name: text}, wanted by sysinit.target."""
        archive = Archive()
        archive.file("usr/bin/forestage", self.forestage.read_bytes(), 0o755)
        stage_1 = (SOURCE / "boot-hooks/systemd/forestage-stage1.service").read_bytes()
        for unit, text in {"forestage-stage1.service": stage_1, **(units or {})}.items():
            archive.file(f"usr/lib/systemd/system/{unit}", text)
            archive.link(f"usr/lib/systemd/system/sysinit.target.wants/{unit}", f"../{unit}")
        if expected is not None:
            listed = [{"name": secret, "target": target} for target, secret in expected.items()]
            archive.file("etc/forestage/initrd.json", json.dumps({"version": 1, "files": listed}))
        for path, content in (files or {}).items():
            archive.file(path, content, (modes or {}).get(path, 0o644))
        path = self.path(name)
        added = self.path(f"{name}.added")
        images.compress(archive.bytes(), added)
        path.write_bytes(images.common(self.tree).read_bytes() + added.read_bytes())
        added.unlink()
        return path

    def root(self):
        """The disk of stage 2."""
        return images.root(self.tree)

    def encrypted_root(self, key):
        """The same in LUKS, opened by the bytes `key`."""
        path = self.path("luks.img")
        images.encrypted(self.root(), self.file("luks.key", key), path)
        self.path("luks.key").unlink()
        return path

    def luggage(self, name, stage2, files=None):
        """The second disk: `stage2` is the script that tells; `files`: {name: path of a file}."""
        directory = self.path(f"{name}.d")
        directory.mkdir()
        (directory / "stage2").write_text(stage2)
        for target, source in (files or {}).items():
            (directory / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, directory / target)
        image = self.path(f"{name}.img")
        images.ext4(directory, image, 8 + sum(path.stat().st_size for path in (files or {}).values()) // (1 << 20))
        shutil.rmtree(directory)
        return image

    # -- boots

    def boot(self, name, initrd, disks, append, **options):
        """A boot that is to be used as a context manager."""
        self.boots += 1
        options.setdefault("kernel", debian.kernel(self.tree))
        return Boot(self.path(f"boots/{name}/x").parent, initrd=initrd, disks=disks, append=append, **options)

    def booted(self, name, initrd, disks, append, **options):
        """Boots to the end: what was told."""
        with self.boot(name, initrd, disks, append, **options) as boot:
            return boot.wait()

    def at_once(self, work, items):
        """Does `work` with all items, as many at once as there are machines; the first failure is that of all."""
        with ThreadPoolExecutor(JOBS) as pool:
            return list(pool.map(work, items))

    def ssh(self, boot, known_hosts, key, command, status=0):
        """Runs a command in the guest; the host key has to be the one that is known."""
        options = ["-F", "/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known_hosts}",
                   "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-i", str(key)]
        return self.run("ssh", *options, "-p", str(boot.port), "root@127.0.0.1", command, status=status)

    def ssh_told(self, boot, known_hosts, key, command):
        told = Told()
        told.add(self.ssh(boot, known_hosts, key, command).stdout.decode())
        return told
