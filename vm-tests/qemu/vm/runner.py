"""Finds the scenarios, runs them, prints a line each and a summary."""

import importlib.util
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import boot, debian, images, kit

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
TOOLS = ["qemu-system-x86_64", "mmdebstrap", "depmod", "cryptsetup", "mke2fs", "mkfs.vfat", "mcopy", "zstd", "cpio", "ssh",
         "ssh-keygen"]
_PRINT = threading.Lock()


def say(text):
    with _PRINT:
        print(text, flush=True)


def load(path):
    specification = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def title(module):
    return (module.__doc__ or module.__name__).strip().splitlines()[0].rstrip(".")


def main(arguments):
    paths = sorted(path for path in SCENARIOS.glob("*.py") if not arguments or path.stem in arguments)
    unknown = set(arguments) - {path.stem for path in paths}
    if unknown:
        say(f"there is no scenario {', '.join(sorted(unknown))}")
        return 2
    modules = {path.stem: load(path) for path in paths}
    # The longest first, so that the machine is busy to the end.
    order = sorted(modules, key=lambda name: -getattr(modules[name], "SECONDS", 60))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    try:
        prepare()
    except debian.Unavailable as reason:
        for name in order:
            say(f"skipped {name}: {title(modules[name])}: {reason}")
        return summary({"skipped": len(order)}, begun)
    counts = {}
    work = Path(tempfile.mkdtemp(prefix="run.", dir=debian.cache()))
    logs = debian.cache() / "logs"
    try:
        with ThreadPoolExecutor(boot.JOBS) as pool:
            for outcome in pool.map(lambda name: run(name, modules[name], work / name, logs / name), order):
                counts[outcome] = counts.get(outcome, 0) + 1
    finally:
        shutil.rmtree(work)
    return summary(counts, begun)


def summary(counts, begun):
    say(f"{time.monotonic() - begun:.0f} s altogether")
    say(", ".join(f"{counts.get(outcome, 0)} {outcome}" for outcome in ("passed", "failed", "skipped")))
    return 1 if counts.get("failed") else 0


def prepare():
    """Everything that scenarios share, so that their times are their own."""
    if platform.machine() != "x86_64":
        raise debian.Unavailable("this machine is not x86_64")
    debian.need(*TOOLS)
    if not kit.program().exists():
        raise debian.Unavailable(f"{kit.program()} is missing: run make first")
    tree = debian.tree()
    images.common(tree)
    images.root(tree)


def run(name, module, directory, logs):
    begun = time.monotonic()
    shutil.rmtree(logs, ignore_errors=True)
    mine, outcome, reason = None, "passed", ""
    try:
        debian.need(*getattr(module, "TOOLS", []))
        mine = kit.Kit(directory)
        module.run(mine)
    except debian.Unavailable as missing:
        outcome, reason = "skipped", f": {missing}"
    except boot.Failed as failed:
        outcome, reason = "failed", f": {failed}"
    except Exception:
        outcome, reason = "failed", f":\n{traceback.format_exc()}"
    notes = "".join(f"\n    {note}" for note in mine.notes) if mine else ""
    if outcome == "failed" and (directory / "boots").exists():
        logs.mkdir(parents=True)
        for log in (directory / "boots").rglob("*.log"):
            target = logs / "-".join(log.relative_to(directory / "boots").parts)
            shutil.copy(log, target)
        notes += f"\n    logs: {logs}"
    shutil.rmtree(directory, ignore_errors=True)
    boots = f", {mine.boots} boots" if mine and mine.boots else ""
    say(f"{outcome:7} {name}: {title(module)} ({time.monotonic() - begun:.0f} s{boots}){reason}{notes}")
    return outcome
