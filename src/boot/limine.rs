//! `limine.conf` (limine 8 and later): entries begin with slashes, one for each level of the menu, and have lines of
//! `key: value`.

use super::Entry;

/// The entries that can be booted, in the order of the menu, and which is the default.
#[must_use]
pub fn config(text: &str) -> (Vec<Entry>, Option<usize>) {
    let mut entries: Vec<Entry> = Vec::new();
    // Counted from 1, with the directories of the menu; of a directory, its first entry.
    let (mut wanted, mut count, mut default) = (1_usize, 0_usize, 0);
    let mut current: Option<Entry> = None;
    let mut boots = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('/') {
            entries.extend(current.take().filter(|_| std::mem::take(&mut boots)));
            count = count.saturating_add(1);
            if count == wanted {
                default = entries.len();
            }
            let title = line.trim_start_matches('/').trim_start_matches('+').trim();
            current = Some(Entry { id: title.to_owned(), title: title.to_owned(), ..Entry::default() });
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match (key.trim().to_ascii_lowercase().as_str(), &mut current) {
            ("default_entry", None) => wanted = value.parse().unwrap_or(1),
            ("path" | "kernel_path", Some(_)) => boots = true,
            ("cmdline" | "kernel_cmdline", Some(entry)) => value.clone_into(&mut entry.options),
            ("module_path", Some(entry)) => entry.initrds.push(on_its_device(value).to_owned()),
            _ => {}
        }
    }
    entries.extend(current.filter(|_| boots));
    let default = (!entries.is_empty()).then_some(if default < entries.len() { default } else { 0 });
    (entries, default)
}

/// The path without the device in front and the hash behind: `boot():/limine/x#0123` is `/limine/x`.
fn on_its_device(path: &str) -> &str {
    let path = path.split_once("):").map_or(path, |(_, path)| path);
    path.rsplit_once('#').map_or(path, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_modules() {
        let text = "timeout: 5\ndefault_entry: 3\n\n/+NixOS\n  comment: all\n//Generation 42\nprotocol: linux\n\
            kernel_path: boot():/limine/kernels/k#ab\ncmdline: init=/nix/store/b/init quiet\n\
            module_path: boot():/limine/kernels/i#cd\nmodule_path: uuid(1):/limine/kernels/s-secrets\n\
            //Generation 41\npath: boot():/k\ncmdline: init=/nix/store/a/init\n";
        let (entries, default) = config(text);
        let told: Vec<_> = entries.iter().map(|entry| (entry.title.as_str(), entry.init())).collect();
        let expected =
            [("Generation 42", Some("/nix/store/b/init")), ("Generation 41", Some("/nix/store/a/init"))];
        assert_eq!(told, expected);
        assert_eq!(entries[0].initrds, ["/limine/kernels/i", "/limine/kernels/s-secrets"]);
        assert_eq!(default, Some(1));
        assert_eq!(config("timeout: 5\nkernel_path: x\n"), (Vec::new(), None));
    }
}
