//! The completions and the man page, which `packaging/completions` makes out of `--help`: what they offer is taken, and what the
//! program takes is offered. Bash runs its own; of the other forms the text is looked at.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

mod program;

fn made(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions").join(test);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/completions");
    assert!(Command::new(script).arg(program::path()).arg(&dir).status().unwrap().success());
    dir
}

/// What bash offers for the last word of a line.
fn offered(file: &Path, line: &[&str]) -> Vec<String> {
    let script = "source \"$0\"; COMP_WORDS=(forestage \"$@\"); COMP_CWORD=$#; _forestage; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-uc", script]).arg(file).args(line).output().unwrap();
    assert!(output.status.success(), "{line:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_is_offered_is_taken() {
    let dir = made("offered");
    let bash = dir.join("bash-completion/completions/forestage");
    for (line, words) in [
        (
            &[""][..],
            &["install", "check", "decrypt", "initrd", "stage1", "status", "keys", "--help", "--version"][..],
        ),
        (&["in"], &["install", "initrd"]),
        (&["initrd", ""], &["append", "expect", "list", "verify", "remove"]),
        (&["initrd", "expect", "-"], &["--manifest"]),
        (&["initrd", "list", "-"], &["--json"]),
        (&["initrd", "remove", "-"], &[]),
        (&["stage1", "-"], &["--root"]),
        (&["install", "--pl"], &["--plugin-path"]),
        (&["decrypt", "file", "--id"], &["--identity"]),
        (&["keys", "d"], &["diff"]),
        (&["keys", "new", "--k"], &["--keytype"]),
    ] {
        assert_eq!(offered(&bash, line), words, "{line:?}");
    }
    let mut tried = 0;
    for command in offered(&bash, &[""]).iter().filter(|word| !word.starts_with('-')) {
        let all = offered(&bash, &[command, ""]);
        let subcommands = all.iter().filter(|word| !word.starts_with('-'));
        let lines = subcommands.map(|word| vec![command.as_str(), word]).chain([vec![command.as_str()]]);
        for line in lines {
            for option in offered(&bash, &[line.as_slice(), &["-"]].concat()) {
                // A command that takes no value there only helps. One that does may write a file of that name.
                let mut command = Command::new(program::path());
                command.args(&line).arg(&option).arg("--help").current_dir(&dir);
                let output = command.output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(
                    !errors.contains("unknown option") && !errors.contains("flag provided"),
                    "{line:?} {option}: {errors}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn other_forms() {
    let dir = made("forms");
    let page = fs::read_to_string(dir.join("man/man1/forestage.1")).unwrap();
    let fish = fs::read_to_string(dir.join("fish/vendor_completions.d/forestage.fish")).unwrap();
    let zsh = fs::read_to_string(dir.join("zsh/site-functions/_forestage")).unwrap();
    assert!(
        zsh.starts_with("#compdef forestage\n") && zsh.contains("\"initrd expect\") offer=\"--manifest \"")
    );
    let line = "complete -c forestage -n \"__fish_seen_subcommand_from initrd; and __fish_seen_subcommand_from append\" -l base -r\n";
    assert!(fish.contains(line), "{fish}");
    for part in [".SH NAME\n", "\\-\\-passphrase\\-file", "SOPS_AGE_KEY_CMD", "Exit status: 0 done"] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing begins a line that troff would take for a request of its own.
    let requests = page.lines().filter(|line| line.starts_with(['.', '\'']));
    assert!(
        requests
            .clone()
            .all(|line| [".TH ", ".SH ", ".nf", ".fi"].iter().any(|known| line.starts_with(known)))
    );
}
