"""Rotation, removal, an older generation without its identity, a shared initrd file (4, 5, 7).

Three generations, installed as loaders do it: every run calls every generation's appender, oldest first. The second has
another value and, beside its credential, a `.cred` file in the same segment; the third lacks a secret of the others.
Then the identity of the first is gone. Each entry boots with what is its own, and nobody complains.
"""

import json
import shutil

SECONDS = 90

TARGETS = {"/run/app/key": "app", "/etc/keys/extra": "extra", "/etc/keys/token": ("token", {"credential": "token"})}
DIRECTORIES = [("/etc/keys", "0700")]
PATHS = "/run/app/key /run/credstore/token /run/credentials/@initrd /run/credentials/@encrypted/other"

QUICK = f"""
/facts {PATHS}
"""
SYSTEMD = f"""
/facts {PATHS}
mkdir -p /run/systemd/system
cat >/run/systemd/system/reader.service <<UNIT
[Service]
Type=oneshot
LoadCredential=token
ExecStart=/usr/bin/sh -c 'cat %d/token >/run/reader.told'
UNIT
systemctl daemon-reload
systemctl start reader
/facts /run/reader.told
"""


class Generation:
    """A generation with its own appender, as boot.json names it."""

    def __init__(self, kit, number, values, targets, directories=DIRECTORIES):
        self.kit, self.number, self.values = kit, number, values
        self.key, recipient = kit.identity(f"{number}/key.txt")
        sops_file = kit.sops(f"{number}/secrets.yaml", values, recipient)
        self.appender = f"/nix/store/{number}-append/bin/append-initrd-secrets"
        names = {target: what[0] if isinstance(what, tuple) else what for target, what in targets.items()}
        # In stage 1 the files of /etc are gone after switch-root: this tells of them before.
        self.base = kit.initrd(f"{number}/base", names, units={"look.service": LOOK})
        self.manifest = kit.manifest(f"{number}/initrd.json", sops_file, self.key, targets, directories, base=str(self.base),
                                     appender=self.appender)
        self.toplevel = kit.path(f"{number}/toplevel/boot.json").parent
        kit.file(f"{number}/toplevel/boot.json", json.dumps({"org.nixos.bootspec.v1": {"initrdSecrets": self.appender}}))

    def append(self, file, current, status=0):
        """Called as a loader does while `current` is installed."""
        return self.kit.run(self.kit.forestage, "initrd", "append", "--manifest", self.manifest, file, status=status,
                            env={"TOPLEVEL": str(current.toplevel)})


LOOK = """
[Unit]
DefaultDependencies=no
After=forestage-stage1.service
Before=sysroot.mount initrd-switch-root.target
[Service]
Type=oneshot
ExecStart=/usr/bin/sh -c '/facts /etc/keys/extra /etc/keys/token >/dev/ttyS1'
"""


def install(kit, esp, generations, current):
    """The systemd-boot builder of 2026: a fresh copy under a temporary name beside the file, renamed when it is done."""
    for generation in generations:
        final = esp / f"initrd-{generation.number}.efi"
        temporary = esp / f"{final.name}.x.tmp"
        shutil.copy(generation.base, temporary)
        generation.append(temporary, current)
        temporary.rename(final)


def run(kit):
    esp = kit.path("esp/x").parent
    first = Generation(kit, 1, {"app": "old app", "extra": "old extra", "token": "old token"}, TARGETS)
    install(kit, esp, [first], first)
    with_cred = {**TARGETS, "/.extra/credentials/other.cred": "cred"}
    extra = [("/.extra", "0755"), ("/.extra/credentials", "0755")]
    second = Generation(kit, 2, {"app": "new app", "extra": "new extra", "token": "new token", "cred": "d2hhdGV2ZXI="}, with_cred,
                        DIRECTORIES + extra)
    install(kit, esp, [first, second], second)
    fewer = {target: what for target, what in TARGETS.items() if what != "extra"}
    third = Generation(kit, 3, {"app": "third app", "token": "third token"}, fewer)
    install(kit, esp, [first, second, third], third)
    before = {file.name: file.read_bytes() for file in esp.iterdir()}

    # The identity of the first generation is gone: it keeps what it had, aside and in place.
    first.key.unlink()
    install(kit, esp, [first, second, third], third)
    first.append(esp / "initrd-1.efi", third)
    kit.equal("the files of the ESP", {file.name: file.read_bytes() == before[file.name] for file in esp.iterdir()},
              dict.fromkeys(before, True))
    # As the current generation it fails, and the file stays as it is.
    first.append(esp / "initrd-1.efi", first, status=1)
    kit.holds("a failing appender changed the file", (esp / "initrd-1.efi").read_bytes() == before["initrd-1.efi"])

    # The loaders of 2024: generations with one initrd share its file, and the last to append wins.
    shared = kit.path("esp-of-2024/initrd.efi")
    shutil.copy(second.base, shared)
    for _ in range(2):
        first.append(shared, second, status=None)
        second.append(shared, second)
    kit.holds("the shared file is not that of the last generation", shared.read_bytes() == before["initrd-2.efi"])

    quick, systemd = kit.luggage("quick", QUICK), kit.luggage("systemd", SYSTEMD)
    boots = [(first, quick, "init=/quick"), (second, systemd, ""), (third, quick, "init=/quick")]

    def boot(entry):
        generation, luggage, init = entry
        file = esp / f"initrd-{generation.number}.efi"
        told = kit.booted(f"generation-{generation.number}", file, [(kit.root(), False), (luggage, False)],
                          f"root=/dev/vda rootfstype=ext4 rd.luks=0 {init}")
        judge(kit, generation, told)

    kit.at_once(boot, boots)


def judge(kit, generation, told):
    values = generation.values
    found = {path: told.facts[path].content for path in told.facts if told.facts[path].kind == "file"}
    expected = {"/run/app/key": values["app"], "/etc/keys/token": values["token"], "/run/credstore/token": values["token"]}
    if "extra" in values:
        expected["/etc/keys/extra"] = values["extra"]
    if "cred" in values:
        expected["/run/credentials/@encrypted/other"] = values["cred"]
        expected["/run/reader.told"] = values["token"]
    kit.equal(f"generation {generation.number}", found, {path: value.encode() for path, value in expected.items()})
    kit.holds(f"generation {generation.number} complains: {told.console}", "forestage" not in told.console)
