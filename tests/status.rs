//! `forestage status` on layouts as NixOS' systemd-boot builder, NixOS' GRUB and Debian make them.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod program;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use forestage::json::{self, Value};

const BASE: &[u8] = b"\x28\xb5\x2f\xfd as zstd begins";

/// A root directory with a store, three generations and a boot partition.
struct Machine(PathBuf);

impl Machine {
    fn new(test: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status").join(test);
        let _ = fs::remove_dir_all(&dir);
        let machine = Self(dir);
        machine.write("boot/EFI/BOOT/BOOTX64.EFI", b"MZ");
        machine
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn demo(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name)).unwrap()
    }

    /// A manifest of three files, and what it needs; the sops file lies beside it.
    fn manifest(&self, name: &str, sops: &str) {
        let path = format!("{name}-sops.yaml");
        self.write(&path, &Self::demo(sops));
        self.write("var/lib/key.txt", &Self::demo("key.txt"));
        self.write("etc/plain", b"plain");
        let text = format!(
            r#"{{ "version": 1, "phase": "initrd", "ageKeyFile": "/var/lib/key.txt",
            "secrets": [ {{ "name": "luks", "key": "initrd/luks_key", "sopsFile": "/{path}" }},
                         {{ "name": "wg0", "key": "wireguard/private_key", "sopsFile": "/{path}" }} ],
            "files": [ {{ "target": "/luks.key", "secret": "luks" }}, {{ "target": "/run/wg0", "secret": "wg0" }},
                       {{ "target": "/run/plain", "source": "/etc/plain" }} ] }}"#
        );
        self.write(name, text.as_bytes());
    }

    /// A generation in the store, and in the profile.
    fn generation(&self, number: u32, sops: &str) {
        let store = format!("nix/store/{number}");
        self.manifest(&format!("{store}/manifest.json"), sops);
        let script = format!(
            "#!/bin/sh\nexec /f/bin/forestage initrd append --manifest /{store}/manifest.json \"$1\"\n"
        );
        self.write(&format!("{store}/append"), script.as_bytes());
        let bootspec = format!(
            r#"{{ "org.nixos.bootspec.v1": {{ "init": "/{store}/init", "label": "NixOS {number}",
            "initrd": "/nix/store/base", "initrdSecrets": "/{store}/append" }},
            "org.nixos.specialisation.v1": {{ "safe": {{ "org.nixos.bootspec.v1": {{ "init": "/{store}-safe/init" }} }} }} }}"#
        );
        self.write(&format!("{store}/boot.json"), bootspec.as_bytes());
        self.write("nix/var/nix/profiles/per-user/x", b"");
        let profiles = self.0.join("nix/var/nix/profiles");
        symlink(format!("/{store}"), profiles.join(format!("system-{number}-link"))).unwrap();
        let _ = fs::remove_file(profiles.join("system"));
        symlink(format!("system-{number}-link"), profiles.join("system")).unwrap();
    }

    fn append(&self, manifest: &str, file: &str) {
        let output = Command::new(program::path())
            .args(["initrd", "append", "--root"])
            .args([&self.0, Path::new("--manifest"), &self.0.join(manifest), &self.0.join(file)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn status(&self, arguments: &[&str]) -> Output {
        Command::new(program::path())
            .args(["status", "--root"])
            .arg(&self.0)
            .args(arguments)
            .env_clear()
            .output()
            .unwrap()
    }

    /// Exit status, and for each entry: id, whether it is the default, state, states of its secrets.
    fn told(&self) -> (i32, Vec<String>) {
        let output = self.status(&["--json"]);
        let value = json::parse(&output.stdout).unwrap();
        let entries = list(&value, "entries").iter().map(|entry| {
            let secrets: Vec<_> = list(entry, "secrets").iter().map(|secret| text(secret, "state")).collect();
            let default = if *field(entry, "default") == Value::Bool(true) { "*" } else { "" };
            format!("{default}{} {} {}", text(entry, "id"), text(entry, "state"), secrets.join(","))
        });
        (output.status.code().unwrap(), entries.map(|told| told.trim_end().to_owned()).collect())
    }

    /// What NixOS' builder writes for a generation: an entry, and an initrd with or without its secrets.
    fn systemd_boot(&self, number: u32, suffix: &str, secrets: bool) {
        let initrd = format!("boot/EFI/nixos/{number}-initrd.efi");
        self.write(&initrd, BASE);
        if secrets {
            self.append(&format!("nix/store/{number}/manifest.json"), &initrd);
        }
        let entry = format!(
            "title NixOS\nsort-key nixos\nversion Generation {number} NixOS 25.11\nlinux /EFI/nixos/k.efi\n\
             initrd /EFI/nixos/{number}-initrd.efi\noptions init=/nix/store/{number}/init loglevel=4\n"
        );
        self.write(&format!("boot/loader/entries/nixos-generation-{number}{suffix}.conf"), entry.as_bytes());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
    let Value::Object(members) = value else { panic!("{value:?}") };
    &members.iter().find(|(key, _)| key == name).unwrap().1
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    let Value::Array(items) = field(value, name) else { panic!("{value:?}") };
    items
}

fn text(value: &Value, name: &str) -> String {
    let Value::String(text) = field(value, name) else { panic!("{name} in {value:?}") };
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn generations_of_nixos_with_systemd_boot() {
    let machine = Machine::new("systemd-boot");
    for (number, sops) in [(9, "secrets.yaml"), (10, "rotated.yaml"), (11, "secrets.yaml")] {
        machine.generation(number, sops);
    }
    machine.systemd_boot(9, "", true);
    machine.systemd_boot(10, "+2-1", true);
    machine.write("boot/loader/loader.conf", b"timeout 5\ndefault nixos-generation-10.conf\n");
    let fresh = "fresh fresh,fresh,fresh";
    let orphan = "11 unknown".to_owned();
    let (ten, nine) =
        (format!("*nixos-generation-10.conf {fresh}"), format!("nixos-generation-9.conf {fresh}"));
    assert_eq!(machine.told(), (0, vec![ten, nine.clone(), orphan.clone()]));
    let table = machine.status(&[]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("* nixos-generation-10.conf (NixOS)"), "{table}");
    assert!(table.contains("2 initrds") && table.contains("free"), "{table}");

    // Rotated in the store of the same generation, as with sops files outside of it.
    machine.write("nix/store/10/manifest.json-sops.yaml", &Machine::demo("secrets.yaml"));
    let stale = "*nixos-generation-10.conf stale stale,stale,stale".to_owned();
    assert_eq!(machine.told(), (5, vec![stale, nine.clone(), orphan.clone()]));
    // A stale entry that is not the default is no reason for an exit status.
    machine.write("boot/loader/loader.conf", b"default nixos-generation-9*\n");
    assert_eq!(machine.told().0, 0);
    machine.write("boot/loader/loader.conf", b"default nixos-*\n");
    assert_eq!(machine.told().0, 5);
    // What the firmware's variables say comes first.
    let variable = "sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let utf16 = "nixos-generation-9.conf\0".encode_utf16().flat_map(u16::to_le_bytes);
    let variable = machine.write(variable, &[0_u8; 4].into_iter().chain(utf16).collect::<Vec<_>>());
    assert_eq!(machine.told().0, 0);
    fs::remove_file(variable).unwrap();

    // No segment, a cut one, a changed plain file, a manifest that is gone.
    machine.systemd_boot(10, "+2-1", false);
    assert_eq!(machine.told().1[0], "*nixos-generation-10.conf missing missing,missing,missing");
    assert_eq!(machine.told().0, 5);
    let initrd = machine.0.join("boot/EFI/nixos/9-initrd.efi");
    let whole = fs::read(&initrd).unwrap();
    fs::write(&initrd, &whole[..whole.len() - 200]).unwrap();
    assert_eq!(machine.told().1[1], "nixos-generation-9.conf damaged damaged,damaged,damaged");
    fs::write(&initrd, &whole).unwrap();
    machine.write("etc/plain", b"other");
    assert_eq!(machine.told().1[1], "nixos-generation-9.conf stale fresh,fresh,stale");
    fs::remove_file(machine.0.join("nix/store/9/manifest.json")).unwrap();
    assert_eq!(machine.told().1[1], "nixos-generation-9.conf unknown");
    machine.write("boot/loader/loader.conf", b"default nixos-generation-9.conf\n");
    assert_eq!(machine.told().0, 1);
}

#[test]
fn generations_of_nixos_with_grub() {
    let machine = Machine::new("grub");
    for (number, sops) in [(1, "secrets.yaml"), (2, "rotated.yaml")] {
        machine.generation(number, sops);
        machine.write("boot/kernels/i-initrd", BASE);
        machine
            .append(&format!("nix/store/{number}/manifest.json"), &format!("boot/kernels/{number}-secrets"));
    }
    let entry = |title: &str, number: u32, secrets: &str| {
        format!(
            "menuentry \"{title}\" --class nixos --unrestricted {{\n  linux ($drive1)//kernels/k init=/nix/store/{number}/init\n  \
             initrd ($drive1)//kernels/i-initrd{secrets}\n}}\n"
        )
    };
    let grub = |first: &str| {
        format!(
            "set default=0\n{first}submenu \"NixOS - All configurations\" --class submenu {{\n{}{}}}\n",
            entry("Configuration 2", 2, " ($drive1)//kernels/2-secrets"),
            entry("Configuration 1", 1, " ($drive1)//kernels/1-secrets"),
        )
    };
    machine.write("boot/grub/grub.cfg", grub(&entry("NixOS", 2, " ($drive1)//kernels/2-secrets")).as_bytes());
    let fresh = "fresh fresh,fresh,fresh";
    let expected =
        [format!("*NixOS {fresh}"), format!("Configuration 2 {fresh}"), format!("Configuration 1 {fresh}")];
    assert_eq!(machine.told(), (0, expected.to_vec()));
    machine.write("boot/grub/grub.cfg", grub(&entry("NixOS", 2, "")).as_bytes());
    assert_eq!(machine.told().0, 5);
    // The specialisation declares nothing.
    let safe = entry("NixOS", 2, "").replace("/nix/store/2/init", "/nix/store/2-safe/init");
    machine.write("boot/grub/grub.cfg", grub(&safe).as_bytes());
    assert_eq!((machine.told().0, machine.told().1[0].as_str()), (0, "*NixOS none"));
}

/// A PE file with these sections.
fn pe(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let u32 = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let count = u8::try_from(sections.len()).unwrap();
    let mut image = [b"MZ".as_slice(), &[0; 58], &u32(64), b"PE\0\0\x64\x86", &[count], &[0; 17]].concat();
    let mut start = image.len() + 40 * sections.len();
    for (name, bytes) in sections {
        let mut name = name.as_bytes().to_vec();
        name.resize(8, 0);
        image.extend([&*name, &u32(bytes.len()), &[0; 4], &u32(bytes.len()), &u32(start), &[0; 16]].concat());
        start += bytes.len();
    }
    for (_, bytes) in sections {
        image.extend_from_slice(bytes);
    }
    image
}

#[test]
fn images_that_boot_by_themselves() {
    let machine = Machine::new("images");
    machine.generation(1, "secrets.yaml");
    machine.generation(2, "rotated.yaml");
    // Lanzaboote's: path and hash of an initrd on the partition.
    machine.systemd_boot(1, "", true);
    fs::remove_dir_all(machine.0.join("boot/loader")).unwrap();
    let sha256 = |name: &str| {
        let output = Command::new("sha256sum").arg(machine.0.join(name)).output().unwrap().stdout;
        let pairs: Vec<_> =
            output[..64].chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        pairs.iter().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>()
    };
    let release = b"ID=lanza\nPRETTY_NAME=NixOS 1\nVERSION_ID=1\n";
    let stub = pe(&[
        (".osrel", release),
        (".cmdline", b"init=/nix/store/1/init quiet"),
        (".initrd", b"\\EFI\\nixos\\1-initrd.efi"),
        (".linux", b"\\EFI\\nixos\\k.efi"),
        (".initrdh", &sha256("boot/EFI/nixos/1-initrd.efi")),
        (".linuxh", &[0; 32]),
    ]);
    machine.write("boot/EFI/Linux/nixos-generation-1.efi", &stub);
    // A unified kernel image holds its initrd.
    let initrd = machine.write("uki", BASE);
    machine.append("nix/store/2/manifest.json", "uki");
    let release = b"ID=nixos\nPRETTY_NAME=NixOS 2\nVERSION_ID=2\n";
    let linux = |initrd: &[u8]| {
        let command_line = b"init=/nix/store/2/init\n";
        pe(&[(".osrel", release), (".cmdline", command_line), (".linux", b"MZ"), (".initrd", initrd)])
    };
    machine.write("boot/EFI/Linux/nixos-generation-2+3.efi", &linux(&fs::read(&initrd).unwrap()));
    // Other programs, and what is broken.
    machine.write("boot/EFI/Linux/shell.efi", &pe(&[(".text", b"x")]));
    machine.write("boot/EFI/Linux/broken.efi", &stub[..200]);
    machine.write("boot/loader/loader.conf", b"default nixos-generation-1.efi\n");
    let fresh = "fresh fresh,fresh,fresh";
    let (one, two) = (format!("*nixos-generation-1.efi {fresh}"), format!("nixos-generation-2.efi {fresh}"));
    assert_eq!(machine.told(), (0, vec![one, two]));
    let output = machine.status(&[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("broken.efi: it is shorter") && !errors.contains("shell.efi"), "{errors}");

    // Without its secrets; with others than were signed.
    machine.write("boot/EFI/Linux/nixos-generation-2+3.efi", &linux(BASE));
    assert_eq!(machine.told().1[1], "nixos-generation-2.efi missing missing,missing,missing");
    machine.append("nix/store/2/manifest.json", "boot/EFI/nixos/1-initrd.efi");
    let (status, entries) = machine.told();
    assert_eq!((status, entries[0].as_str()), (1, "*nixos-generation-1.efi damaged stale,stale,stale"));
    let errors = String::from_utf8(machine.status(&[]).stderr).unwrap();
    assert!(errors.contains("is not the file that was signed"), "{errors}");
}

#[test]
fn debian_with_grub_and_a_manifest_written_by_hand() {
    let machine = Machine::new("debian");
    let grub = b"set default=\"${saved_entry}\"\nmenuentry 'Debian' $menuentry_id_option 'simple' {\n\tlinux /boot/vmlinuz root=/dev/vda1\n\
        \tinitrd\t/boot/initrd.img-6.12\n}\nmenuentry 'Other' $menuentry_id_option 'osprober-linux-1' {\nlinux /boot/k\ninitrd /boot/initrd.img-6.12\n}\n";
    machine.write("boot/grub/grub.cfg", grub);
    machine.write("boot/grub/grubenv", b"# GRUB Environment Block\nsaved_entry=simple\n####");
    machine.write("boot/initrd.img-6.12", BASE);
    machine.write("boot/initrd.img-6.1", BASE);
    assert_eq!(machine.told(), (0, vec!["*simple none".to_owned(), "osprober-linux-1 none".to_owned()]));
    machine.manifest("etc/forestage/initrd-manifest.json", "secrets.yaml");
    assert_eq!(machine.told().0, 5);
    machine.append("etc/forestage/initrd-manifest.json", "boot/initrd.img-6.12");
    let (status, entries) = machine.told();
    assert_eq!((status, entries[0].as_str()), (0, "*simple fresh fresh,fresh,fresh"));
    let output = machine.status(&["--json"]);
    let value = json::parse(&output.stdout).unwrap();
    let initrds = list(&list(&value, "partitions")[0], "initrds");
    let used: Vec<_> = initrds.iter().map(|initrd| (text(initrd, "state"), field(initrd, "used"))).collect();
    assert_eq!(used, [("none".to_owned(), &Value::Bool(false)), ("fresh".to_owned(), &Value::Bool(true))]);
}

#[test]
fn kernel_install_with_two_initrds_on_a_partition_of_its_own() {
    let machine = Machine::new("kernel-install");
    machine.manifest("etc/manifest.json", "secrets.yaml");
    machine.write("etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    let entry = |id: &str| {
        format!(
            "title Debian\nversion 6.12\nmachine-id {id}\nlinux /{id}/6.12/linux\ninitrd /{id}/6.12/initrd.img-6.12\n\
             initrd /{id}/6.12/initrd-zz-forestage\noptions root=/dev/vda2\n"
        )
    };
    let ours = "0123456789abcdef0123456789abcdef";
    for id in [ours, "ffffffffffffffffffffffffffffffff"] {
        machine.write(&format!("esp/loader/entries/{id}-6.12.conf"), entry(id).as_bytes());
        machine.write(&format!("esp/{id}/6.12/initrd.img-6.12"), BASE);
        machine.append("etc/manifest.json", &format!("esp/{id}/6.12/initrd-zz-forestage"));
    }
    machine.write("esp/loader/loader.conf", format!("default {ours}-*\n").as_bytes());
    let esp = machine.0.join("esp");
    // As for the other commands, --root does not stand before a path of the command line.
    let given = machine.0.join("etc/manifest.json");
    let options = ["--json", "--esp", esp.to_str().unwrap(), "--manifest", given.to_str().unwrap()];
    let output = machine.status(&options);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value = json::parse(&output.stdout).unwrap();
    let states: Vec<_> = list(&value, "entries").iter().map(|entry| text(entry, "state")).collect();
    assert_eq!(states, ["fresh", "none"]);
    assert_eq!(text(&value, "state"), "fresh");
    let output = machine.status(&["--esp", esp.to_str().unwrap(), "--manifest", "/etc/manifest.json"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("cannot read /etc/manifest.json"), "{errors}");
}

#[test]
fn nothing_found_and_nothing_readable() {
    let machine = Machine::new("nothing");
    assert_eq!(machine.told(), (1, Vec::new()));
    let output = machine.status(&["--esp", "/does/not/exist"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("/does/not/exist") && errors.contains("--esp"), "{errors}");
    // No right to read the entries: said, and nothing is judged.
    machine.write("boot/loader/entries/a.conf", b"title x\ninitrd /i\n");
    machine.write("boot/i", BASE);
    let entries = machine.0.join("boot/loader/entries");
    fs::remove_dir_all(&entries).unwrap();
    fs::write(&entries, b"not a directory").unwrap();
    let output = machine.status(&[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("loader/entries"), "{errors}");
}
