"""Damage: cuts, flipped bits, garbage, others behind us; the appender and the machine killed; a full ESP (9).

A strict unpacker (vm/newc.py) foretells of every damaged initrd what the kernel lands, and which secrets are in use after stage
1: those of the old segment, of the new one, or none and said so. Each foretelling is held against a real kernel in a
minimal boot, which also runs `forestage stage1`. Each kind of outcome is then booted whole, with systemd.
"""

import json
import re
import shutil
import stat

from vm import fat, images, newc
from vm.boot import Failed

SECONDS = 240
TOOLS = ["strace", "mkfs.vfat", "mcopy"]

FILES = {"/etc/keys/luks": ("luks", {}), "/run/app/key": ("app", {"mode": "0440", "uid": 1000, "gid": 1000}),
         "/srv/large": ("large", {"mode": "0400"})}
LIST = {target: what[0] for target, what in FILES.items()}
ELSEWHERE = "/dev /proc /run /mnt /usr /bin /root /init /facts".split()
SCRIPT = f"""
/facts $(find / -xdev \\( {' -o '.join(f'-path {path}' for path in ELSEWHERE)} \\) -prune -o ! -path / -print)
echo unpacked
mount -t tmpfs run /run
forestage stage1
echo "status $?"
/facts {' '.join(FILES)}
"""


class Segments:
    """An initrd without a segment, and with an old and a new one."""

    def __init__(self, kit):
        self.kit = kit
        key, recipient = kit.identity()
        listed = ",".join('{"name":"%s","target":"%s"}' % (name, target) for target, name in LIST.items())
        base = images.minimal(kit.tree, kit.forestage, SCRIPT, {"etc/forestage/initrd.json": f'{{"files":[{listed}]}}'})
        self.base = kit.file("base", base)
        self.known, self.manifests, self.files = {}, {}, {"none": base}
        for age in ("old", "new"):
            values = {"luks": f"{age} luks", "app": f"{age} app", "large": f"{age} large " * 5000}
            sops_file = kit.sops(f"{age}.yaml", values, recipient)
            self.manifests[age] = kit.manifest(f"{age}.json", sops_file, key, FILES, [("/etc/keys", "0700"), ("/srv", "0755")],
                                               base=str(self.base))
            file = self.copy(f"{age}.initrd")
            kit.append(self.manifests[age], file)
            self.files[age] = file.read_bytes()
            unpacked = newc.unpack(self.files[age]).entries
            index = unpacked["/.forestage/segment.json"][4]
            self.known[index] = {target: entry for target in FILES for path, entry in unpacked.items()
                                 if path in (target, f"/.forestage/files{target}")}
            kit.equal(f"the {age} segment", {t: e[4] for t, e in self.known[index].items()},
                      {target: values[what[0]].encode() for target, what in FILES.items()})

    def copy(self, name):
        path = self.kit.path(name)
        shutil.copy(self.base, path)
        return path

    def judged(self, data):
        """What the kernel lands, and what is in use after stage 1: target -> entry, or None."""
        unpacked = newc.unpack(data).entries
        index = unpacked.get("/.forestage/segment.json")
        good = self.known.get(index[4], {}) if index and stat.S_ISREG(index[0]) else {}
        in_use = {}
        for target in FILES:
            staged = f"/.forestage/files{target}" if target.startswith("/run/") else target
            entry = unpacked.get(staged)
            in_use[target] = entry if entry and entry == good.get(target) else None
        return unpacked, in_use

    def outcome(self, data):
        """A word for what is in use."""
        _, in_use = self.judged(data)
        words = {in_use[target] and in_use[target][4].split()[0].decode() for target in FILES}
        return "some" if len(words) > 1 else words.pop() or "none"


def fact(entry):
    mode, uid, gid, size, content = entry
    if stat.S_ISDIR(mode):
        return ("directory", mode & 0o7777, uid, gid, b"")
    if size > newc.LARGE:
        return ("large", mode & 0o7777, uid, gid, str(size))
    return ("file", mode & 0o7777, uid, gid, content)


def seen(fact):
    return (fact.kind, fact.mode, fact.uid, fact.gid, fact.content)


def shown(facts):
    """Without contents."""
    return {path: (*what[:4], len(what[4])) for path, what in facts.items()}


def minimal(kit, segments, name, data):
    """Boots it, and holds the kernel and stage 1 against the judgement."""
    told = kit.booted(f"minimal/{name}", kit.file(f"minimal/{name}.initrd", data), [], "", memory=256)
    split = told.lines.index("unpacked")
    text = (kit.path(f"boots/minimal/{name}/facts.log")).read_text(errors="replace").replace("\r", "")
    before, after = text.split("\nunpacked\n")
    kernel, stage_1 = type(told)(), type(told)()
    kernel.add(before)
    stage_1.add(after)
    unpacked, in_use = segments.judged(data)
    foretold = {path: fact(entry) for path, entry in unpacked.items()
                if not any(path == other or path.startswith(other + "/") for other in ELSEWHERE)}
    landed = {path: seen(what) for path, what in kernel.facts.items()}
    if foretold != landed:
        wrong = {path for path in foretold.keys() | landed.keys() if foretold.get(path) != landed.get(path)}
        raise Failed(f"{name}: the kernel landed {shown({p: landed[p] for p in wrong if p in landed})}, "
                     f"foretold was {shown({p: foretold[p] for p in wrong if p in foretold})}")
    absent = ("absent", 0, 0, 0, b"")
    expected = {target: fact(entry) if entry else absent for target, entry in in_use.items()}
    found = {target: seen(stage_1.facts[target]) for target in FILES}
    if expected != found:
        raise Failed(f"{name}: in use is {shown(found)}, foretold was {shown(expected)}")
    said = "\n".join(stage_1.lines)
    status = int(re.search(r"^status (\d+)$", said, re.M)[1])
    lost = [target for target, entry in in_use.items() if entry is None]
    kit.holds(f"{name}: status {status} with {lost} lost; it said {said}",
              (status == 0) == (not lost) and all(target in said for target in lost))
    kit.holds(f"{name}: stage 1 left a second copy", split >= 0)


def damages(segments):
    """(name, initrd): cuts at 20 places, flipped bits, garbage, others."""
    base, new = segments.files["none"], segments.files["new"]
    begin, end = new.index(b"070701", len(base)), len(new)
    blank = new.index(b"    ", begin)
    # Of the 64 KiB of spaces that every segment has, one cut is enough.
    places = [*range(begin, blank + 8000), *range(new.index(b"{", blank), end)]
    for number in range(20):
        yield f"cut-{number:02}", new[: places[(2 * number + 1) * len(places) // 40]]

    def flipped(at, bit=0):
        return new[:at] + bytes([new[at] ^ 1 << bit]) + new[at + 1 :]

    luks = new.index(b"etc/keys/luks\0") - 110
    directory = new.index(b"etc/keys\0") - 110
    yield "flip-magic", flipped(begin + 2)
    yield "flip-home-name", flipped(begin + 110 + 3)
    yield "flip-index", flipped(new.index(b'"sha256"') + 20)
    yield "flip-mode", flipped(luks + 6 + 8 + 7)
    yield "flip-owner", flipped(luks + 6 + 2 * 8 + 7)
    yield "flip-size", flipped(luks + 6 + 6 * 8 + 7)
    yield "flip-size-huge", flipped(luks + 6 + 6 * 8)
    yield "flip-name", flipped(luks + 110 + 12)
    yield "flip-directory", flipped(directory + 110 + 6)
    yield "flip-data", flipped(luks + 110 + 14 + 3)
    yield "flip-large", flipped(end - 2000, 5)
    yield "uncommitted", new[:begin] + bytes(6) + new[begin + 6 :]
    yield "garbage-behind", new + b"garbage, and no archive" * 50
    yield "garbage-instead", base + bytes(-len(base) % 4) + b"\x07garbage" * 500
    others = newc.Archive()
    others.directory("etc/keys", 0o755)
    others.file("etc/keys/luks", "of others", 0o600)
    yield "others-behind", new + bytes(-len(new) % 4) + others.bytes()
    # Two of ours, as after a loader that appended twice with something between.
    old = segments.files["old"][segments.files["old"].index(b"070701", len(base)) :]
    yield "old-behind-new", new + bytes(-len(new) % 4) + old


def appender_killed(kit, segments):
    """The appender killed at 50 of its system calls: (outcome, initrd)."""
    results = []
    jobs = [("append", "none", False, {"none", "new"}), ("replace", "old", False, {"old", "new"}),
            ("in place", "old", True, {"old", "none", "new"})]
    for (name, before, in_place, allowed), points in zip(jobs, (14, 24, 12)):
        directory = kit.path(f"killed/{name}/x").parent
        file, aside = directory / "initrd", directory / "initrd.forestage-new"
        command = [kit.forestage, "initrd", "append", "--manifest", segments.manifests["new"], file]

        def prepare():
            file.write_bytes(segments.files[before])
            if in_place:
                aside.mkdir(exist_ok=True)
            elif aside.exists():
                aside.unlink()

        paths = [word for path in (file, aside, directory) for word in ("-P", path)]
        strace = ["strace", "-qq", "-f", "-e", "trace=%file,%desc", *paths]
        prepare()
        log = directory / "strace.log"
        kit.run(*strace, "-o", log, *command)
        kit.equal(f"{name}: undisturbed", file.read_bytes(), segments.files["new"])
        count, calls = {}, []
        for call in re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.M):
            count[call] = count.get(call, 0) + 1
            calls.append((call, count[call]))
        for number in range(points):
            call, when = calls[number * len(calls) // points]
            prepare()
            killed = kit.run(*strace, "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={when}", *command, status=None)
            kit.holds(f"{name}: not killed at {call} {when}: {killed.returncode}", killed.returncode in (-9, 137))
            data = file.read_bytes()
            outcome = segments.outcome(data)
            kit.holds(f"{name}: killed at {call} {when}: {outcome}", outcome in allowed)
            results.append((outcome, data))
            kit.run(*command)
            kit.equal(f"{name}: the run after {call} {when}", file.read_bytes(), segments.files["new"])
    return results


ON_VFAT = """
modprobe -a virtio_blk vfat nls_cp437 nls_ascii
mount -t vfat -o umask=0077,iocharset=ascii /dev/vda /mnt
"""


def guest_with_esp(kit, segments, script):
    files = {"new.json": segments.manifests["new"], "old.json": segments.manifests["old"]}
    # The paths of the manifests are those of this machine.
    for path in (*files.values(), kit.path("new.yaml"), kit.path("old.yaml"), kit.path("key.txt"), segments.base):
        files[str(path)] = path
    contents = {name.strip("/"): path.read_bytes() for name, path in files.items()}
    return images.minimal(kit.tree, kit.forestage, ON_VFAT + script, contents, with_modules=True)


def machine_killed(kit, segments):
    """The machine killed at 5 points while it appends on a mounted vfat: (outcome, initrd)."""
    guest = kit.file("vfat.initrd", guest_with_esp(kit, segments, """
        echo ready
        while true; do
            forestage initrd append --manifest /new.json /mnt/initrd || echo failed
            forestage initrd append --manifest /old.json /mnt/initrd || echo failed
        done
    """))

    def kill(number):
        esp = kit.path(f"esp-{number}.img")
        # The first two find no segment, the others an old one.
        before = kit.file(f"esp-{number}.initrd", segments.files["none" if number < 2 else "old"])
        images.vfat(esp, 64, [(before, "initrd")])
        # A slow disk, so that a write is under way most of the time.
        disk = (esp, True, "throttling.iops-write=60")
        with kit.boot(f"killed-{number}", guest, [disk], "", memory=256) as boot:
            boot.until(lambda: boot.said("ready"), "the mounted ESP")
            delay = boot.left() - (0.15 + 0.45 * number)
            boot.until(lambda: boot.left() <= delay, "its death")
            boot.kill()
            kit.holds("the appender failed on the ESP", not boot.said("failed"))
        found = kit.path(f"esp-{number}.found")
        kit.run("mcopy", "-n", "-i", esp, "::initrd", found)
        data = found.read_bytes()
        outcome = segments.outcome(data)
        kit.holds(f"the machine killed at point {number}: {outcome}", outcome in {"old", "new", "none"})
        return outcome, data

    return kit.at_once(kill, range(5))


def every_write(kit, segments):
    """All that a power failure can leave of a mounted vfat: its state after each write while files on it are changed."""
    guest = kit.file("writes.initrd", guest_with_esp(kit, segments, """
        forestage initrd append --manifest /new.json /mnt/none; echo "none $?"
        forestage initrd append --manifest /new.json /mnt/old; echo "old $?"
        forestage initrd append --manifest /old.json /mnt/old; echo "again $?"
        forestage initrd append --manifest /new.json /mnt/old; echo "again $?"
        dd if=/dev/zero of=/mnt/filler bs=64k 2>/dev/null; sync
        forestage initrd append --manifest /new.json /mnt/full; echo "full $?"
    """))
    esp, log = kit.path("writes.img"), kit.path("writes.log")
    images.vfat(esp, 64, [(kit.file(f"writes.{name}", segments.files[name if name == "none" else "old"]), name)
                          for name in ("none", "old", "full")])
    image = bytearray(esp.read_bytes())
    log.write_bytes(b"")
    node = {"driver": "blklogwrites", "node-name": "esp", "file": {"driver": "file", "filename": str(esp)},
            "log": {"driver": "file", "filename": str(log)}, "log-sector-size": 512}
    # Merged requests have as many parts as one system call takes, and the log adds two: such a write fails.
    extra = ["-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=esp,request-merging=off"]
    told = kit.booted("writes", guest, [], "", memory=256, extra=extra)
    kit.equal("the appenders", [line for line in told.lines if re.fullmatch(r"\w+ \d", line)], ["none 0", "old 0", "again 0", "again 0", "full 0"])
    allowed = {"NONE": ["none", "new"], "OLD": ["old", "new"], "FULL": ["old", "none", "new"]}
    results, broken, count, known = {}, [], 0, {}
    for number, state in fat.states(image, log.read_bytes()):
        count += 1
        for name, order in allowed.items():
            try:
                data = fat.Fat(state).file(name)
                key = hash(data)
                if key not in known:
                    known[key] = segments.outcome(data) if data else "gone"
                outcome = known[key]
            except fat.Broken as reason:
                outcome = str(reason)
            if outcome not in order:
                broken.append(f"write {number}, {name}: {outcome}")
            else:
                results[data] = outcome
    kit.note(f"{count} writes to the ESP leave {len(results)} different files")
    kit.holds(f"a power failure after {', '.join(broken[:12])} ({len(broken)} in all)", not broken)
    return [(outcome, data) for data, outcome in results.items()]


def full_esp(kit, segments):
    """No room: nothing changes and it says so, or the segment is replaced in place."""
    guest = kit.file("full.initrd", guest_with_esp(kit, segments, """
        dd if=/dev/zero of=/mnt/filler bs=64k 2>/dev/null
        df /mnt
        sha256sum /mnt/none /mnt/old
        forestage initrd append --manifest /new.json /mnt/none; echo "none $?"
        sha256sum /mnt/none
        ls /mnt
        forestage initrd append --manifest /new.json /mnt/old; echo "old $?"
    """))
    esp = kit.path("full.img")
    files = [(kit.file(f"full.{name}", segments.files[name]), name) for name in ("none", "old")]
    images.vfat(esp, 64, files)
    told = kit.booted("full", guest, [(esp, True)], "", memory=256)
    text = "\n".join(told.lines)
    kit.holds(f"no room for a first segment: {text}", "none 1" in told.lines and "no room for the segment" in text)
    kit.holds(f"no room for a copy: {text}", "old 0" in told.lines and "replaced in place" in text)
    kit.holds(f"something is left beside: {text}", "forestage-new" not in text)
    for name, expected in (("none", "none"), ("old", "new")):
        found = kit.path(f"full.{name}.found")
        kit.run("mcopy", "-n", "-i", esp, f"::{name}", found)
        kit.equal(f"full ESP, {name}", found.read_bytes() == segments.files[expected], True)


WHOLE = {"flip-data", "flip-index", "cut-10", "uncommitted", "others-behind"}
LOOK = """
[Unit]
DefaultDependencies=no
After=forestage-stage1.service
Before=sysroot.mount initrd-switch-root.target
[Service]
Type=oneshot
ExecStart=/usr/bin/sh -c '/facts /etc/keys/luks /srv/large >/dev/ttyS1'
"""


def whole(kit, segments, name, damaged):
    """The same tail behind an initrd with systemd: stage 2 is reached, and what is lost is said on the console."""
    base = segments.systemd.read_bytes()
    tail = damaged[segments.files["new"].index(b"070701", len(segments.files["none"])) :]
    initrd = kit.file(f"whole/{name}.initrd", base + bytes(-len(base) % 4) + tail)
    told = kit.booted(f"whole/{name}", initrd, [(kit.root(), False), (segments.luggage, False)],
                      "root=/dev/vda rootfstype=ext4 rd.luks=0 init=/quick")
    _, in_use = segments.judged(damaged)
    for target, entry in in_use.items():
        found = told.facts[target]
        if entry:
            kit.equal(f"{name}: {target}", seen(found), fact(entry))
        else:
            kit.equal(f"{name}: {target}", found.kind, "absent")
            kit.holds(f"{name}: the console does not name {target}: {told.console}", target in told.console)


def run(kit):
    segments = Segments(kit)
    segments.systemd = kit.initrd("systemd", {target: name for target, name in LIST.items()}, units={"look.service": LOOK})
    segments.luggage = kit.luggage("luggage", "/facts /run/app/key\n")
    cases = list(damages(segments))
    killed = appender_killed(kit, segments)
    full_esp(kit, segments)
    killed += every_write(kit, segments)
    killed += machine_killed(kit, segments)
    # Of the same bytes one boot tells all.
    distinct = {data: outcome for outcome, data in killed}
    cases += [(f"killed-{number}-{outcome}", data) for number, (data, outcome) in enumerate(distinct.items())]
    outcomes = {}
    for outcome, _ in killed:
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    kit.note(f"{len(killed)} kills left {outcomes}, {len(distinct)} different files; {len(cases)} minimal boots")
    # Of each outcome of a kill, one.
    killed_whole = {name.rpartition("-")[2]: (name, data) for name, data in cases if name.startswith("killed-")}
    jobs = [(whole, *case) for case in [*killed_whole.values(), *(case for case in cases if case[0] in WHOLE)]]
    jobs += [(minimal, name, data) for name, data in cases]
    kit.at_once(lambda job: job[0](kit, segments, *job[1:]), jobs)
