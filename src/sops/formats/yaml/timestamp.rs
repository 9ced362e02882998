//! Timestamps in the four notations that go-yaml reads, with the tolerance of Go's `time.Parse`.

use crate::sops::time::{Scan, Time};

/// `2006-1-2`, alone or followed by `T15:4:5` (or `t`), a fraction and a zone, or by blanks and `15:4:5` and a fraction.
pub(super) fn parse(text: &[u8]) -> Option<Time> {
    let mut scan = Scan(text);
    let year = scan.year()?;
    scan.literal(b'-')?;
    let month = scan.one_or_two()?;
    scan.literal(b'-')?;
    let day = scan.one_or_two()?;
    let mut time = Time { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset: None };
    if scan.literal(b'T').or_else(|| scan.literal(b't')).is_some() {
        clock(&mut time, &mut scan)?;
        time.offset = Some(scan.offset()?);
    } else if scan.literal(b' ').is_some() {
        while scan.literal(b' ').is_some() {}
        clock(&mut time, &mut scan)?;
    }
    time.checked(&scan)
}

/// `15:4:5` and a fraction.
fn clock(time: &mut Time, scan: &mut Scan) -> Option<()> {
    time.hour = scan.one_or_two()?;
    scan.literal(b':')?;
    time.minute = scan.one_or_two()?;
    scan.literal(b':')?;
    time.second = scan.one_or_two()?;
    time.nanosecond = scan.fraction();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_comes_out_as_go_writes_it() {
        let cases = [
            ("2024-01-01", Some("2024-01-01T00:00:00Z")),
            ("2024-1-2", Some("2024-01-02T00:00:00Z")),
            ("2024-02-30", None),
            ("2024-02-29T1:2:3Z", Some("2024-02-29T01:02:03Z")),
            ("2024-02-29t1:2:3,25+02:00", Some("2024-02-29T01:02:03.25+02:00")),
            ("2024-02-29T1:2:3+00:00", Some("2024-02-29T01:02:03Z")),
            ("2024-02-29T1:2:3.1234567891Z", Some("2024-02-29T01:02:03.123456789Z")),
            ("2024-02-29   01:02:03.5", Some("2024-02-29T01:02:03.5Z")),
            ("2024-02-29 01:02:03 Z", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-02-29T01:02:03-24:60", Some("2024-02-29T01:02:03-25:00")),
            ("20240-01-01", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse(text.as_bytes()).as_ref().map(|time| time.rfc3339_nano().to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
