//! A generated `grub.cfg`, as grub-mkconfig and NixOS write it, and `grubenv`.
//!
//! The language of GRUB is a shell; only what generators write is understood: `menuentry` and `submenu` with their
//! braces, `linux` and `initrd` inside, and `set default=`.

use super::Entry;

/// Deeper menus are passed over: nobody finds an entry there.
const MAX_DEPTH: usize = 64;

/// What a grub.cfg says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The entries, in the order of the menu, with the way to each through submenus.
    pub entries: Vec<(Entry, Vec<Position>)>,
    /// What `default` is set to, unless to what is saved.
    pub default: Option<String>,
    /// Whether the entries are those of `loader/entries`.
    pub blscfg: bool,
}

/// Where something stands in a menu, and what it is called there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    index: usize,
    title: String,
    id: String,
}

impl Position {
    fn answers_to(&self, name: &str) -> bool {
        name == self.id || name == self.title || name.parse() == Ok(self.index)
    }
}

impl Config {
    /// The entry that boots by default, if `saved` is what `grubenv` says was saved.
    #[must_use]
    pub fn default_entry(&self, saved: Option<&str>) -> Option<usize> {
        let wanted = self.default.as_deref().or(saved).filter(|name| !name.is_empty()).unwrap_or("0");
        let names: Vec<_> = wanted.split('>').collect();
        // Of a submenu, its first entry.
        self.entries.iter().position(|(_, way)| {
            let all_match = names.iter().zip(way).all(|(name, position)| position.answers_to(name));
            all_match && names.len() <= way.len() && way.iter().skip(names.len()).all(|rest| rest.index == 0)
        })
    }
}

/// The value of a variable in `grubenv`.
#[must_use]
pub fn saved<'t>(grubenv: &'t str, name: &str) -> Option<&'t str> {
    grubenv.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Reads the text of a grub.cfg.
#[must_use]
pub fn config(text: &str) -> Config {
    let mut config = Config::default();
    // One for each open brace: the position of a submenu, an entry that is being read, or neither.
    let mut open: Vec<Block> = Vec::new();
    let mut counts = vec![0_usize];
    for line in text.lines() {
        let words = words(line);
        let [command, rest @ ..] = words.as_slice() else { continue };
        if command == "}" && rest.is_empty() {
            match open.pop() {
                Some(Block::Entry(entry, way)) => config.entries.push((entry, way)),
                Some(Block::Submenu(_)) => drop(counts.pop()),
                Some(Block::Other) | None => {}
            }
            continue;
        }
        let opens = words.last().is_some_and(|word| word == "{");
        match (command.as_str(), rest) {
            (kind @ ("menuentry" | "submenu"), [title, options @ ..]) if opens => {
                let Some(count) = counts.last_mut() else { continue };
                let position = Position { index: *count, title: title.clone(), id: id(options) };
                *count = count.saturating_add(1);
                if open.len() > MAX_DEPTH {
                    open.push(Block::Other);
                    continue;
                }
                let mut way: Vec<_> = open.iter().filter_map(Block::position).cloned().collect();
                if kind == "submenu" {
                    open.push(Block::Submenu(position));
                    counts.push(0);
                } else {
                    let id = if position.id.is_empty() { title } else { &position.id }.clone();
                    way.push(position);
                    open.push(Block::Entry(Entry { id, title: title.clone(), ..Entry::default() }, way));
                }
            }
            ("linux" | "linuxefi" | "linux16", [_, options @ ..]) => {
                if let Some(Block::Entry(entry, _)) = open.last_mut() {
                    entry.options = options.join(" ");
                }
            }
            ("initrd" | "initrdefi" | "initrd16", paths) => {
                if let Some(Block::Entry(entry, _)) = open.last_mut() {
                    entry.initrds = paths.iter().map(|path| on_its_device(path).to_owned()).collect();
                }
            }
            ("set", [assignment, ..]) => {
                if let Some(value) = assignment.strip_prefix("default=") {
                    match value {
                        // What is booted once is not the default.
                        "${next_entry}" | "$next_entry" => {}
                        "${saved_entry}" | "$saved_entry" => config.default = None,
                        value => config.default = Some(value.to_owned()),
                    }
                }
            }
            ("blscfg", _) => config.blscfg = true,
            _ if opens => open.push(Block::Other),
            _ => {}
        }
    }
    config
}

enum Block {
    Entry(Entry, Vec<Position>),
    Submenu(Position),
    Other,
}

impl Block {
    fn position(&self) -> Option<&Position> {
        match self {
            Self::Submenu(position) => Some(position),
            _ => None,
        }
    }
}

/// What follows `--id`, or the variable that stands for it where GRUB is old.
fn id(options: &[String]) -> String {
    let mut words = options.iter();
    let id = words.find_map(|word| match word.as_str() {
        "--id" | "$menuentry_id_option" | "${menuentry_id_option}" => Some(None),
        word => word.strip_prefix("--id=").map(Some),
    });
    match id {
        Some(Some(id)) => id.to_owned(),
        Some(None) => words.next().cloned().unwrap_or_default(),
        None => String::new(),
    }
}

/// The path without the device in front: `($drive1)//kernels/x` is `//kernels/x`.
fn on_its_device(path: &str) -> &str {
    match path.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, path)) => path,
        None => path,
    }
}

/// The words of a line, without quotation marks and comments.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(mark), character) if character == mark => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, mark @ ('\'' | '"')) => {
                word.get_or_insert_default();
                quote = Some(mark);
            }
            (None, '#') if word.is_none() => break,
            (None, character) if character.is_whitespace() || character == ';' => words.extend(word.take()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = r#"
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="${saved_entry}"
fi
function recordfail {
  set recordfail=1
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; fi
	search --no-floppy --fs-uuid --set=root 1234
	echo	'Loading Linux 6.12 ...'
	linux	/vmlinuz-6.12 root=UUID=1 ro  quiet
	initrd	/initrd.img-6.12
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian, with Linux 6.12' $menuentry_id_option 'gnulinux-6.12' {
		linux	/vmlinuz-6.12 root=UUID=1 ro
		initrd	/initrd.img-6.12 /secrets.img
	}
	menuentry "It's \"old\"" --id=old {
		linux	/vmlinuz-6.1 root=UUID=1
		initrd	/initrd.img-6.1
	}
}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
	fwsetup
}
"#;

    #[test]
    fn entries_as_grub_mkconfig_writes_them() {
        let config = config(DEBIAN);
        let told: Vec<_> =
            config.entries.iter().map(|(e, way)| (e.id.as_str(), e.initrds.join(" "), way.len())).collect();
        let expected = [
            ("gnulinux-simple-1", "/initrd.img-6.12".to_owned(), 1),
            ("gnulinux-6.12", "/initrd.img-6.12 /secrets.img".to_owned(), 2),
            ("old", "/initrd.img-6.1".to_owned(), 2),
            ("uefi-firmware", String::new(), 1),
        ];
        assert_eq!(told, expected);
        assert_eq!(config.entries[2].0.title, "It's \"old\"");
        assert_eq!(config.entries[0].0.options, "root=UUID=1 ro quiet");
        for (saved, default) in [
            (None, Some(0)),
            (Some("0"), Some(0)),
            (Some("1"), Some(1)),
            (Some("1>1"), Some(2)),
            (Some("gnulinux-advanced-1>old"), Some(2)),
            (Some("Advanced options>Debian, with Linux 6.12"), Some(1)),
            (Some("gone"), None),
            (Some("0>0"), None),
        ] {
            assert_eq!(config.default_entry(saved), default, "{saved:?}");
        }
    }

    #[test]
    fn entries_as_nixos_writes_them() {
        let text = "set default=\"1\"\nmenuentry \"NixOS\" --class nixos --unrestricted {\n\
            search --set=drive1 --fs-uuid 1\n  linux ($drive1)//kernels/k init=/nix/store/a/init loglevel=4\n\
            \n  initrd ($drive1)//kernels/i ($drive1)//kernels/s-secrets\n}\n\
            submenu \"NixOS - All configurations\" --class submenu {\nmenuentry \"41\" {\nlinux /k init=/nix/store/b/init\n}\n}\n";
        let config = config(text);
        let (first, _) = &config.entries[0];
        assert_eq!(first.initrds, ["//kernels/i", "//kernels/s-secrets"]);
        assert_eq!((first.id.as_str(), first.init()), ("NixOS", Some("/nix/store/a/init")));
        assert_eq!(config.default_entry(Some("0")), Some(1));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for text in [
            "}",
            "}\n}\nmenuentry 'a' {",
            "menuentry",
            "initrd /x",
            "linux",
            "set",
            "menuentry 'open",
            "{\n{\n}",
        ] {
            assert_eq!(config(text).entries, [], "{text}");
        }
        let deep = format!("{}menuentry 'a' {{\nlinux /k\n}}\n", "submenu 'a' {\n".repeat(200_000));
        assert_eq!(config(&deep).entries, []);
        assert!(config("insmod blscfg\nblscfg\n").blscfg);
        assert_eq!(
            saved("# GRUB Environment Block\nsaved_entry=x y\nkernelopts=\n####", "saved_entry"),
            Some("x y")
        );
        assert_eq!(saved("saved_entry_x=1", "saved_entry"), None);
    }
}
