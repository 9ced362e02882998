//! Where private keys come from, and what happens when they do not come.

use std::fs;

use crate::{
    machine::{Machine, append, exists, read, tree},
    manifest::{Object, manifest, raw, secret},
    story::{both, ours},
};

fn without_key_file() -> Object {
    manifest([secret("one")]).set("ageKeyFile", raw("null"))
}

fn from(file: &str) -> Object {
    manifest([secret("one").set("sopsFile", format!("/run/sops/{file}").as_str())])
        .set("ageKeyFile", raw("null"))
}

fn key_line() -> String {
    read("/run/sops/key.txt").lines().last().unwrap().to_owned()
}

#[track_caller]
fn lands(m: &mut Machine, manifest: &Object) {
    m.install(manifest).succeeds();
    assert_eq!(read("/run/secrets/one"), "first value");
}

#[test]
fn no_identity_is_written_anywhere() {
    both(|m| {
        lands(
            m,
            &from("ssh.yaml")
                .set("ageSshKeyPaths", ["/run/sops/ssh_ed25519"])
                .set("ageKeyFile", "/run/sops/key.txt"),
        );
        assert!(!tree("/run/secrets.d").contains("AGE-SECRET-KEY"));
        assert!(!exists("/run/secrets.d/age-keys.txt"));
    });
}

#[test]
fn ssh_key_is_converted() {
    both(|m| lands(m, &from("ssh.yaml").set("ageSshKeyPaths", ["/run/sops/ssh_ed25519"])));
}

#[test]
fn ssh_key_opens_what_was_encrypted_to_it() {
    both(|m| lands(m, &from("ssh-native.yaml").set("ageSshKeyPaths", ["/run/sops/ssh_ed25519"])));
}

#[test]
fn unfit_ssh_keys_are_passed_over_and_named_when_no_other_opens() {
    both(|m| {
        let paths = [
            "/run/sops/ssh_rsa",
            "/run/sops/absent",
            "/run/sops/ssh_ed25519_locked",
            "/run/sops/ssh_ed25519",
        ];
        lands(m, &from("ssh.yaml").set("ageSshKeyPaths", paths));
        let unfit = from("ssh.yaml").set("ageSshKeyPaths", ["/run/sops/ssh_rsa", "/run/sops/absent"]);
        m.install(&unfit).fails().says_as_ever("/run/sops/ssh_rsa").says_as_ever("/run/sops/absent");
    });
}

#[test]
fn key_file_that_does_not_exist() {
    both(|m| {
        m.install(&manifest([secret("one")]).set("ageKeyFile", "/run/sops/absent"))
            .fails()
            .says("/run/sops/absent");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn missing_key_file_beside_a_key_that_opens() {
    both(|m| {
        lands(
            m,
            &from("ssh.yaml")
                .set("ageKeyFile", "/run/sops/absent")
                .set("ageSshKeyPaths", ["/run/sops/ssh_ed25519"]),
        );
    });
}

#[test]
fn key_of_another_machine() {
    both(|m| {
        m.install(&manifest([secret("one")]).set("ageKeyFile", "/run/sops/other-key.txt"))
            .fails()
            .says("/run/sops/other-key.txt");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn no_key_at_all() {
    both(|m| {
        m.install(&without_key_file()).fails().says("/run/sops/secrets.yaml");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn key_from_the_environment() {
    both(|m| {
        m.set("SOPS_AGE_KEY", &key_line());
        lands(m, &without_key_file());
    });
}

#[test]
fn key_file_from_the_environment() {
    both(|m| {
        m.set("SOPS_AGE_KEY_FILE", "/run/sops/key.txt");
        lands(m, &without_key_file());
    });
}

#[test]
fn key_of_a_command_from_the_environment() {
    both(|m| {
        m.set("SOPS_AGE_KEY_CMD", "cat /run/sops/key.txt");
        lands(m, &without_key_file());
    });
}

#[test]
fn key_from_the_home_directory() {
    both(|m| {
        m.write("/run/home/.config/sops/age/keys.txt", &read("/run/sops/key.txt"));
        lands(m, &without_key_file());
    });
}

#[test]
fn manifest_takes_the_place_of_the_file_from_the_environment() {
    both(|m| {
        m.set("SOPS_AGE_KEY_FILE", "/run/sops/absent");
        lands(m, &manifest([secret("one")]));
    });
}

#[test]
fn several_keys_and_comments_in_a_key_file() {
    both(|m| {
        let other = read("/run/sops/other-key.txt");
        m.write("/run/sops/keys", &format!("# two keys\n\n{other}\n{}", key_line()));
        lands(m, &manifest([secret("one")]).set("ageKeyFile", "/run/sops/keys"));
    });
}

#[test]
fn one_bad_line_in_a_key_file() {
    both(|m| {
        append("/run/sops/key.txt", "this is no key\n");
        lands(m, &manifest([secret("one")]));
    });
}

#[test]
fn unreadable_key_file_is_a_reason_not_a_failure_of_the_run() {
    ours(|m| {
        fs::remove_file("/run/sops/key.txt").unwrap();
        fs::create_dir("/run/sops/key.txt").unwrap();
        m.forestage_install(&[], &manifest([secret("one")])).exits(4).says("/run/sops/key.txt");
    });
}

#[test]
fn gnupg_home_excludes_other_keys() {
    both(|m| {
        let text = "Both options are mutually exclusive";
        m.install(&manifest([secret("one")]).set("gnupgHome", "/run/home/gnupg")).fails().says_as_ever(text);
        let beside_rsa =
            without_key_file().set("gnupgHome", "/run/home/gnupg").set("sshKeyPaths", ["/run/sops/ssh_rsa"]);
        m.install(&beside_rsa).fails().says_as_ever(text);
    });
}
