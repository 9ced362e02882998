//! `--json`: exactly one object on standard output.

use crate::{
    manifest::{logging, manifest, secret, template},
    story::ours,
};

/// The JSON text without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut text, mut quoted, mut escaped) = (String::new(), false, false);
    for character in json.chars() {
        if quoted || !character.is_whitespace() {
            text.push(character);
        }
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
    }
    text
}

#[test]
fn first_install_and_change() {
    ours(|m| {
        let manifest = || {
            let asking = secret("one").set("restartUnits", ["a.service"]).set("reloadUnits", ["b.service"]);
            logging(manifest([asking, secret("two")]))
        };
        let first = m.forestage_install(&["--json"], &manifest()).exits(0);
        assert_eq!(
            compact(&first.stdout),
            "{\"version\":1,\"phase\":\"system\",\"generation\":1,\"changed\":true,\"secrets\":[\
             {\"name\":\"one\",\"state\":\"added\"},{\"name\":\"two\",\"state\":\"added\"}],\
             \"removed\":[],\"restarted\":[],\"reloaded\":[]}"
        );
        m.replace("secrets.yaml", "changed.yaml");
        let second = m.forestage_install(&["--json"], &manifest()).exits(0);
        assert_eq!(
            compact(&second.stdout),
            "{\"version\":1,\"phase\":\"system\",\"generation\":2,\"changed\":true,\"secrets\":[\
             {\"name\":\"one\",\"state\":\"modified\"},{\"name\":\"two\",\"state\":\"unchanged\"}],\
             \"removed\":[],\"restarted\":[\"a.service\"],\"reloaded\":[\"b.service\"]}"
        );
    });
}

#[test]
fn removed_and_failed() {
    ours(|m| {
        m.install(&manifest([secret("one"), secret("two"), secret("lines")])).succeeds();
        m.write_damaged("damaged.yaml");
        let kept = secret("one").set("sopsFile", "/run/sops/damaged.yaml");
        let run =
            m.forestage_install(&["--json"], &manifest([kept, secret("absent"), secret("two")])).exits(3);
        let told = compact(&run.stdout);
        for part in [
            "{\"name\":\"one\",\"state\":\"kept\",\"error\":{\"headline\":\"",
            "{\"name\":\"absent\",\"state\":\"failed\",\"error\":{\"headline\":\"",
            "\"facts\":[",
            "{\"name\":\"two\",\"state\":\"unchanged\"}",
            "\"removed\":[\"lines\"]",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    });
}

#[test]
fn one_object_even_when_nothing_lands() {
    ours(|m| {
        let run = m.forestage_install(&["--json"], &manifest([secret("absent")])).exits(1);
        let told = compact(&run.stdout);
        assert!(told.starts_with("{\"version\":1,") && told.ends_with('}'), "{told}");
        assert!(told.contains("{\"name\":\"absent\",\"state\":\"failed\",\"error\":{"), "{told}");
    });
}

#[test]
fn dry_run_reports_too() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        let run = m.forestage_install(&["--json", "--dry-run"], &manifest([secret("one")])).exits(0);
        assert!(compact(&run.stdout).contains("{\"name\":\"one\",\"state\":\"modified\"}"), "{}", run.stdout);
    });
}

#[test]
fn templates_do_not_break_the_object() {
    ours(|m| {
        let manifest = manifest([secret("one")]).templates([template("conf", "<SOPS:one>")], &["one"]);
        let told = compact(&m.forestage_install(&["--json"], &manifest).exits(0).stdout);
        assert!(told.contains("{\"name\":\"one\",\"state\":\"added\"}") && told.ends_with('}'), "{told}");
    });
}
