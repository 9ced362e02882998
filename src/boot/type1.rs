//! Entries of the Boot Loader Specification, type 1: `loader/entries/*.conf`, and `loader.conf` of systemd-boot.

use std::cmp::Ordering;

use super::{Entry, Order, counted};

/// An entry; `name` is the name of its file.
#[must_use]
pub fn entry(name: &str, text: &str) -> Entry {
    let (id, tries_left) = counted(name, ".conf");
    let mut entry = Entry { id, order: Order { tries_left, ..Order::default() }, ..Entry::default() };
    for (key, value) in fields(text) {
        match key {
            "title" => value.clone_into(&mut entry.title),
            "initrd" => entry.initrds.push(value.to_owned()),
            "options" => {
                entry.options.push_str(if entry.options.is_empty() { "" } else { " " });
                entry.options.push_str(value);
            }
            "sort-key" => entry.order.sort_key = Some(value.to_owned()),
            "machine-id" => entry.order.machine_id = Some(value.to_owned()),
            "version" => value.clone_into(&mut entry.order.version),
            _ => {}
        }
    }
    entry
}

/// The pattern that `loader.conf` names the default entry with.
#[must_use]
pub fn default_pattern(loader_conf: &str) -> Option<&str> {
    fields(loader_conf).filter(|(key, _)| *key == "default").map(|(_, value)| value).last()
}

/// Key and value of each line, without comments.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(char::is_whitespace)).map(|(key, value)| (key, value.trim()))
}

/// The entry that systemd-boot takes by default: the first in its order that the pattern matches, else the first.
#[must_use]
pub fn default(entries: &[Entry], pattern: Option<&str>) -> Option<usize> {
    let mut order: Vec<_> = entries.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| compare(a, b));
    let matching = pattern.and_then(|pattern| {
        let pattern = pattern.to_ascii_lowercase();
        order.iter().find(|(_, entry)| glob(pattern.as_bytes(), entry.id.to_ascii_lowercase().as_bytes()))
    });
    matching.or(order.first()).map(|(number, _)| *number)
}

/// The order of systemd-boot's menu (boot.c): bad ones last; with a sort key before those without; new versions
/// first.
fn compare(a: &Entry, b: &Entry) -> Ordering {
    let bad = |entry: &Entry| entry.order.tries_left == Some(0);
    let keys = match (&a.order.sort_key, &b.order.sort_key) {
        (Some(a_key), Some(b_key)) => a_key
            .cmp(b_key)
            .then_with(|| a.order.machine_id.cmp(&b.order.machine_id))
            .then_with(|| versions(&b.order.version, &a.order.version)),
        (a_key, b_key) => a_key.is_none().cmp(&b_key.is_none()),
    };
    bad(a).cmp(&bad(b)).then(keys).then_with(|| versions(&b.id, &a.id))
}

/// Numbers inside of names count as numbers: 9 is before 10.
fn versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (a_digits, b_digits) = (digits(a), digits(b));
        if a_digits != 0 && b_digits != 0 {
            let (a_number, a_rest) = a.split_at_checked(a_digits).unwrap_or_default();
            let (b_number, b_rest) = b.split_at_checked(b_digits).unwrap_or_default();
            let strip = |number: &[u8]| number.iter().skip_while(|byte| **byte == b'0').copied().collect();
            let (a_number, b_number): (Vec<u8>, Vec<u8>) = (strip(a_number), strip(b_number));
            let order = a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(&b_number));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (a_rest, b_rest);
            continue;
        }
        match (a.split_first(), b.split_first()) {
            (Some((a_first, a_rest)), Some((b_first, b_rest))) if a_first == b_first => {
                (a, b) = (a_rest, b_rest);
            }
            (a_first, b_first) => return a_first.map(|(byte, _)| byte).cmp(&b_first.map(|(byte, _)| byte)),
        }
    }
}

/// Whether `*` and `?` of the pattern match the text. Takes at most the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p = p.saturating_add(1);
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                (p, t) = (p.saturating_add(1), t.saturating_add(1));
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                let next = star_t.saturating_add(1);
                star = Some((star_p, next));
                (p, t) = (star_p.saturating_add(1), next);
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_as_nixos_and_kernel_install_write_it() {
        let text = "title NixOS\nsort-key nixos\nversion Generation 41 NixOS 25.11\nlinux /EFI/nixos/k.efi\n\
                    initrd /EFI/nixos/i.efi\ninitrd\t/EFI/nixos/x\noptions init=/nix/store/a/init quiet\noptions loglevel=4\n\
                    # initrd /comment\nmachine-id 0123\n";
        let entry = entry("nixos-generation-41+2-1.conf", text);
        assert_eq!(entry.id, "nixos-generation-41.conf");
        assert_eq!(entry.initrds, ["/EFI/nixos/i.efi", "/EFI/nixos/x"]);
        assert_eq!(entry.options, "init=/nix/store/a/init quiet loglevel=4");
        assert_eq!(entry.init(), Some("/nix/store/a/init"));
        assert_eq!((entry.order.tries_left, entry.order.machine_id.as_deref()), (Some(2), Some("0123")));
        assert_eq!(default_pattern("timeout 3\n#default x\ndefault nixos-*\n"), Some("nixos-*"));
        assert_eq!(default_pattern("timeout 3\ndefault\n"), None);
    }

    #[test]
    fn names_that_count_boots() {
        for (name, id, left) in [
            ("a.conf", "a.conf", None),
            ("a+3.conf", "a.conf", Some(3)),
            ("a+0-3.conf", "a.conf", Some(0)),
            ("a+b+1-2.conf", "a+b.conf", Some(1)),
            ("a+x.conf", "a+x.conf", None),
            ("a+1-.conf", "a+1-.conf", None),
            ("+1", "+1", None),
        ] {
            assert_eq!(counted(name, ".conf"), (id.to_owned(), left), "{name}");
        }
    }

    #[test]
    fn the_default_entry() {
        let made = |name: &str, key: Option<&str>, version: &str| {
            let mut entry = entry(name, &format!("version {version}"));
            entry.order.sort_key = key.map(str::to_owned);
            entry
        };
        let entries = [
            made("nixos-generation-9.conf", Some("nixos"), "Generation 9"),
            made("nixos-generation-10.conf", Some("nixos"), "Generation 10"),
            made("nixos-generation-11+0-3.conf", Some("nixos"), "Generation 11"),
            made("arch.conf", None, "7"),
            made("debian-10.conf", Some("debian"), "6.1"),
        ];
        for (pattern, expected) in [
            (Some("nixos-generation-9.conf"), 0),
            (Some("NIXOS-*"), 1),
            (Some("*on-1?.conf"), 1),
            (Some("arch.conf"), 3),
            (Some("gone.conf"), 4),
            (None, 4),
        ] {
            assert_eq!(default(&entries, pattern), Some(expected), "{pattern:?}");
        }
        assert_eq!(default(&entries[2..4], None), Some(1));
        assert_eq!(default(&[], None), None);
    }

    #[test]
    fn patterns_and_versions() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxbxx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a", "bba", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        let many = format!("{}b", "*a".repeat(100));
        assert!(!glob(many.as_bytes(), "a".repeat(5000).as_bytes()));
        for (a, b, expected) in [
            ("6.9", "6.10", Ordering::Less),
            ("6.10", "6.010", Ordering::Equal),
            ("a", "a1", Ordering::Less),
            ("1a", "a1", Ordering::Less),
            ("99999999999999999999999", "100000000000000000000000", Ordering::Less),
        ] {
            assert_eq!(versions(a, b), expected, "{a} {b}");
            assert_eq!(versions(b, a), expected.reverse(), "{a} {b}");
        }
    }
}
