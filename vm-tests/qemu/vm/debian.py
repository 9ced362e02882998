"""A Debian tree and its kernel: from packages, unpacked but not installed, kept in the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "trixie"
PACKAGES = [
    "systemd", "udev", "kmod", "systemd-cryptsetup", "linux-image-cloud-amd64", "openssh-server", "busybox-static",
]


class Unavailable(Exception):
    """Something that real boots need cannot be had: scenarios are skipped."""


def cache():
    default = Path(__file__).resolve().parents[3] / "target/cache"
    directory = Path(os.environ.get("FORESTAGE_CACHE") or default) / "vm"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def need(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}")


def once(name, make):
    """The path of `name` in the cache; `make` gets a path to make it at if it is missing."""
    path = cache() / name
    with open(cache() / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            scratch = path.with_name(path.name + ".new")
            remove(scratch)
            make(scratch)
            # What was made of an earlier version of these sources.
            for stale in cache().glob(name.partition("-")[0] + "-*"):
                if stale != scratch:
                    remove(stale)
            scratch.rename(path)
    return path


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def tree(packages=(), suite=SUITE):
    """A directory with the unpacked PACKAGES and `packages`. Read only: it is shared."""
    names = PACKAGES + list(packages)
    key = hashlib.sha256(" ".join([suite, *names]).encode()).hexdigest()[:8]

    def make(path):
        need("mmdebstrap", "depmod")
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
        command = ["mmdebstrap", "--variant=extract", "--aptopt=Acquire::Languages \"none\"", *excluded,
                   f"--include={','.join(names)}", suite, str(path)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            remove(path)
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise Unavailable(f"mmdebstrap cannot fetch a Debian tree: {lines[-1]}")
        for name in ("bin", "sbin", "lib", "lib64"):
            if not (path / name).exists():
                (path / name).symlink_to(f"usr/{name}")
        subprocess.run(["depmod", "-b", path, kernel_version(path)], check=True)

    return once(f"tree{len(packages)}-{suite}-{key}", make)


def kernel_version(tree):
    return next(path.name for path in sorted((tree / "usr/lib/modules").iterdir()))


def kernel(tree):
    """The path of the kernel image."""
    return tree / "boot" / f"vmlinuz-{kernel_version(tree)}"
