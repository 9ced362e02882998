//! `keys new --openpgp` and sops-init-gpg-key: a GnuPG home that gpg and forestage know.

use std::{os::unix::fs::PermissionsExt, path::Path};

use crate::{
    desk::{Desk, Run},
    peers, program,
};

fn named(desk: &Desk, arguments: &[&str]) -> Run {
    desk.run_in(Path::new(program::path()), Some("sops-init-gpg-key"), arguments, "", &[])
}

fn mode(desk: &Desk, path: &str) -> u32 {
    std::fs::metadata(desk.path.join(path)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_home_for_a_host() {
    if !peers::gpg("gnupg::a_home_for_a_host") {
        return;
    }
    let desk = Desk::new();
    for (keytype, home, parts) in [("RSA", "a/b/home", 1), ("Curve25519", "home", 2)] {
        let run = if parts == 1 {
            named(&desk, &["--hostname", "server01", "--gpghome", home])
        } else {
            let arguments = ["keys", "new", "--openpgp", "--hostname", "server01", "--gpghome", home];
            desk.forestage(&[&arguments[..], &["--keytype", keytype]].concat())
        }
        .ends(0);
        assert_eq!(run.stdout, "");
        let hint = run.stderr.strip_prefix(
            "You can use the following command to save it to a file:\ncat > server01.asc <<EOF\n-----BEGIN PGP PUBLIC KEY \
             BLOCK-----\n",
        );
        let (key, told) = hint.unwrap().split_once("EOF\nfingerprint: ").unwrap();
        assert!(key.ends_with("-----END PGP PUBLIC KEY BLOCK-----\n"), "{run:?}");
        let fingerprints: Vec<&str> = told.lines().collect();
        assert_eq!(fingerprints.len(), parts, "{told}");

        assert_eq!([mode(&desk, home), mode(&desk, &format!("{home}/private-keys-v1.d"))], [0o700; 2]);
        let names: Vec<String> = std::fs::read_dir(desk.path.join(home))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        // No socket: no agent was left behind. And nothing of ours.
        assert!(names.iter().all(|name| !name.starts_with("S.") && !name.starts_with('.')), "{names:?}");
        let listed = desk.run("gpg", &["--homedir", home, "--list-secret-keys", "--with-colons"], "").ends(0);
        desk.run("gpgconf", &["--homedir", home, "--kill", "all"], "").ends(0);
        assert!(listed.stdout.contains("server01 <root@server01>"), "{listed:?}");
        let public = desk.forestage(&["keys", "public", "--json", home]).ends(0).stdout;
        assert!(fingerprints.iter().all(|fingerprint| public.contains(fingerprint)), "{public}");
        // Nothing is overwritten.
        let again = named(&desk, &["--hostname", "x", "--gpghome", home]).ends(1);
        assert_eq!(again.stderr, format!("sops-init-gpg-key: secret path {home} already exists\n"));
    }
    assert_eq!(mode(&desk, "a/b"), mode(&desk, "a"));
}

#[test]
fn command_lines() {
    let desk = Desk::new();
    let usage = "sops-init-gpg-key: [--hostname hostname] [--gpghome home] [--keytype keytype]\n\n  keytype: RSA (default) or \
                 Curve25519\n\n";
    for (arguments, status, stdout, stderr) in [
        (&["-h"][..], 0, usage, ""),
        (&["--help"], 0, usage, ""),
        (&["--bad"], 2, "", "sops-init-gpg-key: unrecognized option '--bad'\n"),
        (&["-x"], 2, "", "sops-init-gpg-key: invalid option -- 'x'\n"),
        (&["--gpghome"], 2, "", "sops-init-gpg-key: option '--gpghome' requires an argument\n"),
        (&["--h"], 2, "", "sops-init-gpg-key: option '--h' is ambiguous\n"),
        (&["--keytype=x"], 1, "", "unknown keytype 'x'\n"),
        (&["--gpg", ".", "ignored"], 1, "", "sops-init-gpg-key: secret path . already exists\n"),
    ] {
        let run = named(&desk, arguments);
        let expected = Run { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        assert_eq!(run, expected, "{arguments:?}");
    }
    for arguments in [
        &["--openpgp", "-o", "x"][..],
        &["--openpgp", "--age", "--gpghome", "x"],
        &["--gpghome", "x", "-o", "x"],
        &["--openpgp", "--keytype", "x", "--gpghome", "x"],
        &["--openpgp", "--hostname", "a\nb", "--gpghome", "x"],
    ] {
        desk.forestage(&[&["keys", "new"], arguments].concat()).ends(2);
    }
    assert_eq!(std::fs::read_dir(&desk.path).unwrap().count(), 0);
}

#[test]
fn a_gpg_that_fails_leaves_nothing() {
    let desk = Desk::new();
    for (program, reason) in
        [("/nonexistent/gpg", "/nonexistent/gpg is not installed"), ("false", "gpg failed")]
    {
        let run = desk.run_in(
            Path::new(program::path()),
            None,
            &["keys", "new", "--openpgp", "--hostname", "x", "--gpghome", "home"],
            "",
            &[("SOPS_GPG_EXEC", program)],
        );
        run.ends(1).says(reason);
        assert_eq!(std::fs::read_dir(&desk.path).unwrap().count(), 0);
    }
}
