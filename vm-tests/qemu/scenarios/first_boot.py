"""First installation: ssh into stage 1, LUKS root, stage 2 takes over (1, 2, 3, 7, 8).

No earlier generation, no /run/secrets. The ssh host key, the key of the LUKS root (argon2id), a file of /run with an
owner, a credential and the target /run/secrets/y come from one sops file that the real sops wrote. A real ssh client
accepts exactly that host key; stage 2 is a real systemd, where a service reads the credential and `install`
takes over /run/secrets.
"""

import json


SECONDS = 60

STAGE_2 = """
/facts /run/owned/key /run/secrets /run/secrets/y /run/secrets-for-initrd/y /run/credstore/token /.forestage
systemctl show -p Result --value forestage-stage1.service
mkdir -p /run/systemd/system
for unit in reader watcher; do
    cat >/run/systemd/system/$unit.service <<UNIT
[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=token
ExecStart=/usr/bin/sh -c 'cat %d/token >/run/$unit.told; echo x >>/run/$unit.starts'
UNIT
done
systemctl daemon-reload
systemctl start reader watcher
SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1 /luggage/forestage install /luggage/manifest.json
echo "install $?"
echo "generations $(ls /run/secrets.d)"
/facts /run/credentials/@system/token /run/reader.told /run/watcher.starts /run/secrets /run/secrets/y
journalctl -b -o cat -u forestage-stage1.service --no-pager
"""


def run(kit):
    key, recipient = kit.identity()
    kit.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "host", "-f", kit.path("host"))
    kit.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "client", "-f", kit.path("client"))
    values = {"host": kit.path("host").read_text(), "luks": "a passphrase of the root", "owned": "for alice", "y": "value of y",
              "token": "a credential"}
    sops_file = kit.sops("secrets.yaml", values, recipient)
    targets = {
        "/etc/ssh/host_ed25519": "host",
        "/etc/keys/luks": ("luks", {"mode": "0400"}),
        "/run/owned/key": ("owned", {"mode": "0440", "uid": 1000, "gid": 1000}),
        "/run/secrets/y": "y",
        "/etc/keys/token": ("token", {"credential": "token"}),
    }
    manifest = kit.manifest("initrd.json", sops_file, key, targets, [("/etc/keys", "0700")])
    initrd = kit.initrd("initrd", {target: target for target in targets}, {
        "etc/crypttab": "root /dev/vda /etc/keys/luks luks,headless=1\n",
        "etc/ssh/sshd_config": "HostKey /etc/ssh/host_ed25519\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\n",
        "root/.ssh/authorized_keys": kit.path("client.pub").read_text(),
    })
    kit.append(manifest, initrd)
    # Five times in all: no byte more.
    once = initrd.read_bytes()
    for _ in range(4):
        kit.append(manifest, initrd)
    kit.holds("appending again changes the file", initrd.read_bytes() == once)

    # Stage 2 has the same secret y, which a service watches.
    secret = {"name": "y", "key": "y", "sopsFile": "/luggage/secrets.yaml", "format": "yaml", "path": "/run/secrets/y",
              "owner": "root", "group": "root", "mode": "0400", "restartUnits": ["watcher.service"]}
    stage_2 = {"version": 1, "secrets": [secret], "templates": [], "secretsMountPoint": "/run/secrets.d",
               "symlinkPath": "/run/secrets", "keepGenerations": 1, "ageKeyFile": "/luggage/key.txt", "sshKeyPaths": [],
               "placeholderBySecretName": {}}
    luggage = kit.luggage("luggage", STAGE_2, {
        "forestage": kit.forestage, "secrets.yaml": sops_file, "key.txt": key,
        "manifest.json": kit.file("stage2.json", json.dumps(stage_2))})
    disk = kit.encrypted_root(values["luks"])

    known = kit.file("known_hosts", "")
    with kit.boot("first", initrd, [(disk, False), (luggage, False)], "root=/dev/mapper/root rootfstype=ext4 vm.gate",
                  network=True) as boot:
        known.write_text(f"[127.0.0.1]:{boot.port} {kit.path('host.pub').read_text()}")
        reach = lambda: kit.ssh(boot, known, kit.path("client"), "true", status=None).returncode == 0  # noqa: E731
        boot.until(reach, "ssh into stage 1")
        kit.note(f"ssh into stage 1 after {boot.limit - boot.left():.0f} s")
        kit.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", kit.path("other"))
        other = kit.file("other_hosts", f"[127.0.0.1]:{boot.port} {kit.path('other.pub').read_text()}")
        refused = kit.ssh(boot, other, kit.path("client"), "true", status=None)
        kit.holds("ssh takes another host key", refused.returncode == 255 and b"Host key verification failed" in refused.stderr)
        stage_1 = kit.ssh_told(boot, known, kit.path("client"), """
            /facts /etc/keys/luks /etc/keys/token /run/owned/key /run/secrets /run/secrets-for-initrd/y /.forestage/files \
                   /run/credstore/token /run/credentials/@initrd/token
            cat /proc/mounts
            systemctl show -p Result,ExecMainStatus,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic forestage-stage1 beside
            journalctl -b -o cat -u forestage-stage1.service --no-pager
            for i in 1 2 3 4 5 6 7; do
                systemctl restart forestage-stage1 beside
                systemctl show -p ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic forestage-stage1 beside | sed 's/^Exec/again &/'
            done
            touch /run/go""")
        in_stage_1(kit, stage_1, values)
        told = boot.wait()
    in_stage_2(kit, told, values)


def file(kit, told, path, content, mode=0o400, uid=0, gid=0):
    fact = told.facts[path]
    kit.equal(path, (fact.kind, fact.mode, fact.uid, fact.gid, fact.content), ("file", mode, uid, gid, content.encode()))


def in_stage_1(kit, told, values):
    file(kit, told, "/etc/keys/luks", values["luks"])
    file(kit, told, "/run/owned/key", values["owned"], 0o440, 1000, 1000)
    file(kit, told, "/run/secrets-for-initrd/y", values["y"])
    file(kit, told, "/run/credstore/token", values["token"])
    file(kit, told, "/run/credentials/@initrd/token", values["token"])
    kit.equal("/run/secrets", told.facts["/run/secrets"].content, "/run/secrets-for-initrd")
    kit.equal("the staged copies", told.facts["/.forestage/files"].kind, "absent")
    kit.holds("/run/secrets-for-initrd is not a ramfs", any("/run/secrets-for-initrd ramfs" in line for line in told.lines))
    inside = next(int(line.split()[-2]) for line in told.lines if " secrets in place after " in line)
    ours, beside = unit_times(told, "ExecMain")
    kit.note(f"forestage stage1: {inside / 1000:.1f} ms inside; its unit {ours[0]:.0f} ms, a `true` unit beside it {beside[0]:.0f} ms")
    ours, beside = unit_times(told, "again ")
    kit.note(f"both restarted in turn, ms: {', '.join(f'{time:.0f} {other:.0f}' for time, other in zip(ours, beside))}")
    # Noted, not judged: by the clock of an emulated machine nothing is decided. The scenario stage1_time counts instructions.


def unit_times(told, begin):
    """Milliseconds from the first to the last instruction, of our unit and of the one beside it."""
    stamps = [int(line.partition("=")[2]) for line in told.lines if line.startswith(begin) and "Timestamp" in line]
    times = [(stop - start) / 1000 for start, stop in zip(stamps[::2], stamps[1::2])]
    return times[::2], times[1::2]


def in_stage_2(kit, told, values):
    file(kit, told, "/run/owned/key", values["owned"], 0o440, 1000, 1000)
    file(kit, told, "/run/secrets/y", values["y"])
    file(kit, told, "/run/reader.told", values["token"], 0o644)
    file(kit, told, "/run/credentials/@system/token", values["token"])
    kit.holds(f"install in stage 2 failed: {told.lines}", "install 0" in told.lines)
    kit.equal("/run/secrets", told.facts["/run/secrets"].content, "/run/secrets.d/1")
    kit.holds(f"not one generation: {told.lines}", "generations 1" in told.lines)
    kit.equal("a restart", told.facts["/run/watcher.starts"].content, b"x\n")
