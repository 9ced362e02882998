//! Flags in Go's syntax, usage, exit statuses.

use crate::{
    machine::{MANIFEST, exists, owned},
    manifest::{manifest, secret},
    story::{both, ours},
};

#[test]
fn flags_are_written_as_go_reads_them() {
    both(|m| {
        m.write(MANIFEST, &manifest([secret("one").set("owner", "alice")]).to_string());
        for flags in [
            &["-ignore-passwd"][..],
            &["--ignore-passwd"],
            &["-ignore-passwd=true"],
            &["--ignore-passwd=T"],
            &["-ignore-passwd=false", "-ignore-passwd=1"],
            &["-check-mode", "off", "-ignore-passwd"],
            &["--check-mode=off", "-ignore-passwd", "--"],
        ] {
            m.run(&[flags, &[MANIFEST]].concat()).succeeds();
            assert_eq!(owned("/run/secrets/one"), "0400 0:0", "{flags:?}");
            m.run(&["-ignore-passwd=F", MANIFEST]).succeeds();
            assert_eq!(owned("/run/secrets/one"), "0400 1001:0");
        }
    });
}

#[test]
fn wrong_flags_fail() {
    both(|m| {
        m.write(MANIFEST, &manifest([secret("one")]).to_string());
        for flags in [
            &["-x"][..],
            &["---ignore-passwd"],
            &["-=x"],
            &["-ignore-passwd=maybe"],
            &["-ignore-passwd="],
            &["-check-mode=all"],
            &["-check-mode="],
            &["-check-mode"],
            &["--check-modes=off"],
        ] {
            m.run(&[flags, &[MANIFEST]].concat()).fails().prints(&[]);
        }
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn help_is_a_success() {
    both(|m| {
        for flag in ["-h", "--help", "-help"] {
            m.run(&[flag]).succeeds().prints(&[]).says_as_ever("[OPTION] manifest.json");
        }
    });
}

#[test]
fn wrong_number_of_manifests_is_an_error() {
    both(|m| {
        m.write(MANIFEST, &manifest([secret("one")]).to_string());
        m.run(&[]).fails().says("[OPTION] manifest.json");
        m.run(&[MANIFEST, MANIFEST]).fails();
        m.run(&[MANIFEST, "-ignore-passwd"]).fails();
        m.run(&["-check-mode", MANIFEST]).fails();
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn error_begins_with_the_name_of_the_program() {
    both(|m| {
        m.run(&["/run/absent.json"]).fails().says_as_ever("/run/bin/sops-install-secrets: ");
    });
}

#[test]
fn wrong_command_line_of_forestage_is_exit_status_2() {
    ours(|m| {
        let manifest = manifest([secret("one")]);
        for flags in
            [&["--nope"][..], &["-ignore-passwd"], &["--phase", "dinner"], &["--phase"], &["one-more"]]
        {
            m.forestage_install(flags, &manifest).exits(2).prints(&[]);
        }
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn forestage_install_does_the_same_as_sops_install_secrets() {
    ours(|m| {
        m.forestage_install(&[], &manifest([secret("one").set("owner", "alice")])).exits(0).prints(&[]);
        assert_eq!(owned("/run/secrets/one"), "0400 1001:0");
        m.forestage_install(&["--ignore-passwd"], &manifest([secret("one").set("owner", "alice")])).exits(0);
        assert_eq!(owned("/run/secrets/one"), "0400 0:0");
    });
}

#[test]
fn phases_before_users_look_up_no_names() {
    ours(|m| {
        for phase in ["bootloader", "users"] {
            m.forestage_install(&["--phase", phase], &manifest([secret("one").set("owner", "made-later")]))
                .exits(0);
            assert_eq!(owned("/run/secrets/one"), "0400 0:0", "{phase}");
        }
    });
}
