//! Names of systemd credentials.

/// Whether systemd takes the name: one component of printable ASCII without a colon.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b':'));
    plain && !matches!(name, "" | "." | "..") && name.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_systemd_takes() {
        for good in ["a", "luks.key", "a b", "..x", &"x".repeat(255)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../../etc/pwn", "a:b", "é", "a\n", &"x".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
