//! That `torture` notices: an installer in shell that is right, and the same with one wrong line.

use std::{fs, path::Path};

use crate::{
    machine::Program,
    on_machine, say,
    scenarios::update,
    torture::{Aim, Scenario, torture},
};

const HONEST: &str = include_str!("honest.sh");

/// What is wrong, the honest line's beginning, the line instead, and what the complaint says.
const SABOTEURS: [(&str, &str, &str, &str); 9] = [
    (
        "writes into the current generation",
        "next=",
        "next=${number#0}; next=${next:-1}",
        "neither old nor new",
    ),
    (
        "swaps in two steps",
        "mv -T",
        "rm -f /run/secrets; mv -T /run/secrets.new /run/secrets",
        "/run/secrets is neither old nor new: Absent",
    ),
    (
        "asks before the swap",
        "ln -s \"/run",
        "[ -z \"$changed\" ] || ask\nln -s \"/run/secrets.d/$next\" /run/secrets.new",
        "before the swap",
    ),
    ("forgets what it had to ask", "if [ \"$changed\" ]", "", "units asked"),
    (
        "leaves temporary files",
        "rm -rf",
        "rm -rf \"/run/secrets.d/$next\"\necho > /run/tmp.$$; rm /run/tmp.$$",
        "not as if undisturbed",
    ),
    (
        "leaves old generations",
        "for old",
        "[ \"$number\" = 0 ] || rm -rf \"/run/secrets.d/$number\"",
        "not as if undisturbed",
    ),
    (
        "touches a foreign file",
        "ln -sfn",
        "echo other > /run/links/foreign; printf 'not ours' > /run/links/foreign; ln -sfn /run/secrets/a /run/links/b",
        "a foreign file is changed",
    ),
    (
        "makes a link in two steps",
        "ln -sfn",
        "ln -sfn /run/nowhere /run/links/b; ln -sfn /run/secrets/a /run/links/b",
        "neither absent nor old nor new",
    ),
    (
        "mounts once more",
        "mkdir -p",
        "mkdir -p /run/secrets.d /run/extra; mount -t tmpfs none /run/extra; umount /run/extra",
        "mounts",
    ),
];

/// The manifest of these installers is the secret itself.
fn scenario(name: &'static str) -> Scenario {
    Scenario {
        name,
        before: Some("old".to_owned()),
        after: "new".to_owned(),
        links: vec!["/run/links/b"],
        ..update()
    }
}

fn shell(name: &str, text: &str) -> Program {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.sh", name.replace(' ', "-")));
    fs::write(&script, text).unwrap();
    // What the script says on the way is of no interest.
    Program(vec!["sh".into(), script.into(), "MANIFEST".into()])
}

#[test]
fn an_honest_installer_passes() {
    let program = shell("honest", HONEST);
    if let Some(outcome) =
        on_machine("honest", |machine| torture(&scenario("honest"), machine, &program, Aim::Every))
    {
        let points = outcome.map_err(|complaints| complaints.join("\n")).unwrap();
        say(&format!("(self-test) an honest shell script: {points} kill points"));
        assert!(points > 20);
    }
}

#[test]
fn saboteurs_are_caught() {
    for (name, honest, wrong, complaint) in SABOTEURS {
        let line = HONEST.lines().find(|line| line.starts_with(honest)).unwrap();
        let program = shell(name, &HONEST.replace(line, wrong));
        let Some(outcome) =
            on_machine(name, |machine| torture(&scenario(name), machine, &program, Aim::Complaint))
        else {
            return;
        };
        let complaints = outcome.expect_err(name).join("\n");
        assert!(complaints.contains(complaint), "{name}: {complaints}");
    }
}
