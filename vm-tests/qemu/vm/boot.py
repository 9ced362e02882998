"""One boot: QEMU without KVM, its time limit, and what the guest told on its second serial line."""

import base64
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# As many machines at once as there are processors; each has one.
JOBS = int(os.environ.get("FORESTAGE_VM_JOBS") or os.cpu_count() or 1)
SLOTS = threading.BoundedSemaphore(JOBS)
# Seconds that a boot may take. On a quiet machine it takes 15 to 30, on one with ten others at work 300.
LIMIT = float(os.environ.get("FORESTAGE_BOOT_LIMIT") or 600)
# cmpxchg16b crashed kernels under TCG: hence -cx16.
MACHINE = ["-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "tcg", "-cpu", "max,-cx16", "-display", "none",
           "-no-reboot"]
# On a busy machine the kernel finds that its timer does not tick, and panics: hence no_timer_check.
APPEND = "console=ttyS0 no_timer_check ro net.ifnames=0 panic=-1 quiet systemd.show_status=0 fsck.mode=skip "
APPEND += "systemd.default_device_timeout_sec=600 systemd.default_timeout_start_sec=600"


class Failed(Exception):
    """What a scenario claims does not hold."""


@dataclass(frozen=True)
class Fact:
    """What is at a path: `kind` is file, large (with its size for content), directory, link, other or absent."""

    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    content: bytes | str = b""


@dataclass
class Told:
    """What a boot told."""

    facts: dict[str, Fact] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    console: str = ""
    seconds: float = 0.0

    def add(self, text):
        for line in text.splitlines():
            words = line.split(" ", 6)
            if words[0] != "fact" or len(words) != 7:
                self.lines.append(line)
                continue
            _, kind, mode, uid, gid, content, path = words
            if kind == "file":
                self.facts[path] = Fact(kind, int(mode, 8), int(uid), int(gid), base64.b64decode(content.rstrip(".")))
            elif kind in ("directory", "large"):
                self.facts[path] = Fact(kind, int(mode, 8), int(uid), int(gid), content if kind == "large" else b"")
            else:
                self.facts[path] = Fact(kind, content=content if kind == "link" else b"")


class Boot:
    """A machine that runs. Use as a context manager: at the end it is off whatever happened."""

    def __init__(self, directory, *, kernel=None, initrd=None, append="", disks=(), network=False, memory=768, extra=(),
                 limit=LIMIT):
        """`disks`: (path, writable) in the order vda, vdb...; what a guest writes to others is thrown away. A third member
        has more options of the drive."""
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.console_log, self.facts_log = self.directory / "console.log", self.directory / "facts.log"
        self.limit = limit
        self.port = None
        arguments = [*MACHINE, "-m", str(memory), "-device", "virtio-rng-pci",
                     "-serial", f"file:{self.console_log}", "-serial", f"file:{self.facts_log}"]
        if kernel:
            arguments += ["-kernel", str(kernel), "-append", f"{APPEND} {append}"]
        if initrd:
            arguments += ["-initrd", str(initrd)]
        for number, (path, writable, *more) in enumerate(disks):
            snapshot = "off" if writable else "on"
            options = "".join(f",{option}" for option in more)
            arguments += ["-drive", f"file={path},format=raw,if=none,id=d{number},snapshot={snapshot}{options}",
                          "-device", f"virtio-blk-pci,drive=d{number},bootindex={number + 1}"]
        if network:
            self.port = free_port()
            arguments += ["-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:22",
                          "-device", "virtio-net-pci,netdev=n0"]
        self.command = ["qemu-system-x86_64", *arguments, *map(str, extra)]
        self.process = None

    def __enter__(self):
        SLOTS.acquire()
        try:
            self.begun = time.monotonic()
            self.errors = open(self.directory / "qemu.log", "wb")
            environment = {**os.environ, "TMPDIR": str(self.directory)}
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                                            env=environment)
        except BaseException:
            SLOTS.release()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.kill()
        finally:
            self.errors.close()
            SLOTS.release()

    def kill(self):
        """Power off, without a word to the guest."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def running(self):
        return self.process.poll() is None

    def left(self):
        return self.limit - (time.monotonic() - self.begun)

    def until(self, condition, what):
        """Waits for `condition`, which ends with the machine or its time."""
        while True:
            found = condition()
            if found:
                return found
            if not self.running():
                raise Failed(f"the machine went off before {what}")
            if self.left() < 0:
                raise Failed(f"the boot did not get to {what} within {self.limit:.0f} s")
            time.sleep(0.05)

    def said(self, text):
        """Whether the guest told `text` on its second line."""
        return self.facts_log.exists() and text in self.facts_log.read_text(errors="replace")

    def wait(self, end="end"):
        """Waits until the machine is off; what it told. A boot that does not end with `end` failed."""
        while self.running():
            if self.left() < 0:
                raise Failed(f"the boot did not end within {self.limit:.0f} s")
            time.sleep(0.05)
        told = self.told()
        if end not in told.lines:
            raise Failed(f"the boot ended without having told everything; it said: {told.lines[-3:]}")
        return told

    def told(self):
        told = Told(seconds=time.monotonic() - self.begun)
        told.add(self.facts_log.read_text(errors="replace").replace("\r", ""))
        told.console = self.console_log.read_text(errors="replace").replace("\r", "")
        return told


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
