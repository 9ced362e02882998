//! Timestamps in the four notations that go-yaml reads, with the tolerance of Go's `time.Parse`.

use crate::sops::time::Time;

/// `2006-1-2`, alone or followed by `T15:4:5` (or `t`), a fraction and a zone, or by blanks and `15:4:5` and a fraction.
pub(super) fn parse(text: &[u8]) -> Option<Time> {
    let (year, rest) = text.split_at_checked(4)?;
    if !year.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year = year.iter().fold(0, |year, digit| year * 10 + u16::from(digit - b'0'));
    let (month, rest) = one_or_two(rest.strip_prefix(b"-")?)?;
    let (day, rest) = one_or_two(rest.strip_prefix(b"-")?)?;
    let mut time = Time { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset: None };
    match rest {
        [] => {}
        [b'T' | b't', rest @ ..] => {
            let rest = clock(&mut time, rest)?;
            time.offset = Some(zone(rest)?).filter(|offset| *offset != 0);
        }
        [b' ', rest @ ..] => {
            let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
            if !clock(&mut time, rest.get(spaces..)?)?.is_empty() {
                return None;
            }
        }
        _ => return None,
    }
    let valid = (1..=12).contains(&time.month)
        && (1..=days(year, month)).contains(&time.day)
        && time.hour < 24
        && time.minute < 60
        && time.second < 60;
    valid.then_some(time)
}

fn one_or_two(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Some(((tens - b'0') * 10 + (ones - b'0'), rest))
        }
        [ones @ b'0'..=b'9', rest @ ..] => Some((ones - b'0', rest)),
        _ => None,
    }
}

/// Reads `15:4:5` and a fraction of any length, of which nine digits count.
fn clock<'a>(time: &mut Time, text: &'a [u8]) -> Option<&'a [u8]> {
    let (hour, rest) = one_or_two(text)?;
    let (minute, rest) = one_or_two(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = one_or_two(rest.strip_prefix(b":")?)?;
    (time.hour, time.minute, time.second) = (hour, minute, second);
    if let [b'.' | b',', b'0'..=b'9', ..] = rest {
        rest = rest.get(1..)?;
        let mut unit = 100_000_000;
        while let [digit @ b'0'..=b'9', more @ ..] = rest {
            time.nanosecond += u32::from(digit - b'0') * unit;
            unit /= 10;
            rest = more;
        }
    }
    Some(rest)
}

/// `Z` or `+hh:mm`, in seconds east of UTC.
fn zone(text: &[u8]) -> Option<i32> {
    if text == b"Z" {
        return Some(0);
    }
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    let number = |tens: &u8, ones: &u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h2)?, number(m1, m2)?);
    if hours > 24 || minutes > 60 {
        return None;
    }
    let offset = (hours * 60 + minutes) * 60;
    Some(if *sign == b'-' { -offset } else { offset })
}

fn days(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// RFC 3339, with a fraction only if there is one.
pub(super) fn format(time: &Time) -> String {
    use std::fmt::Write;

    let Time { year, month, day, hour, minute, second, nanosecond, offset } = time;
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if *nanosecond != 0 {
        let fraction = format!("{nanosecond:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    match offset {
        None => text.push('Z'),
        Some(offset) => {
            let minutes = offset.unsigned_abs() / 60;
            let sign = if *offset < 0 { '-' } else { '+' };
            // Writing to a string does not fail.
            let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        }
    }
    text
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
            assert_eq!(parse(text.as_bytes()).as_ref().map(format).as_deref(), expected, "{text}");
        }
    }
}
