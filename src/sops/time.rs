//! Points in time as Go's `time` package reads and writes them in sops files.

use std::fmt::Write as _;

use zeroize::Zeroizing;

/// A point in time: civil date and clock with an offset, so that the original offset is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanosecond: u32,
    /// Seconds east of UTC; `None` where Go prints `Z`.
    pub offset: Option<i32>,
}

impl Time {
    /// `time.Parse(time.RFC3339, text)`, which is also how sops reads values of type `time`. More than RFC
    /// 3339 allows, Go takes an hour of one digit, a comma before the fraction, and offsets up to 24:60.
    /// Digits beyond nanoseconds are dropped.
    #[must_use]
    pub fn parse_rfc3339(text: &[u8]) -> Option<Self> {
        let mut scan = Scan(text);
        let year = scan.year()?;
        scan.literal(b'-')?;
        let month = scan.two()?;
        scan.literal(b'-')?;
        let day = scan.two()?;
        scan.literal(b'T')?;
        let hour = scan.one_or_two()?;
        scan.literal(b':')?;
        let minute = scan.two()?;
        scan.literal(b':')?;
        let second = scan.two()?;
        let nanosecond = scan.fraction();
        let offset = Some(scan.offset()?);
        Self { year, month, day, hour, minute, second, nanosecond, offset }.checked(&scan)
    }

    /// The time, if it is one and nothing is left of its text.
    pub(super) fn checked(self, scan: &Scan) -> Option<Self> {
        let Self { year, month, day, hour, minute, second, offset, .. } = self;
        let valid = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && scan.0.is_empty();
        // Go prints `Z` for an offset of zero.
        valid.then_some(Self { offset: offset.filter(|seconds| *seconds != 0), ..self })
    }

    /// `Format(time.RFC3339)`: without a fraction.
    #[must_use]
    pub fn rfc3339(&self) -> Zeroizing<String> {
        let mut out = self.date_and_clock('T');
        self.zone(&mut out);
        out
    }

    /// `Format(time.RFC3339Nano)`: with a fraction if there is one, without its trailing zeros.
    #[must_use]
    pub fn rfc3339_nano(&self) -> Zeroizing<String> {
        let mut out = self.date_and_clock('T');
        self.fraction(&mut out);
        self.zone(&mut out);
        out
    }

    /// `MarshalText`, the form that sops encrypts, hashes and writes as JSON. None where Go refuses: an
    /// offset of 24 hours or more.
    #[must_use]
    pub fn marshal(&self) -> Option<Zeroizing<String>> {
        let day = 24 * 3600;
        (-day < self.offset.unwrap_or(0) && self.offset.unwrap_or(0) < day).then(|| self.rfc3339_nano())
    }

    /// `String()`, which `%v` prints: `2024-01-02 03:04:05.6 +0000 UTC`; the zone's name is its offset unless
    /// it is UTC.
    #[must_use]
    pub fn printed(&self) -> Zeroizing<String> {
        let mut out = self.date_and_clock(' ');
        self.fraction(&mut out);
        match self.offset {
            None => out.push_str(" +0000 UTC"),
            Some(offset) => {
                let (sign, hours, minutes) = split(offset);
                let _ = write!(out, " {sign}{hours:02}{minutes:02} {sign}{hours:02}{minutes:02}");
            }
        }
        out
    }

    fn date_and_clock(&self, between: char) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(48));
        let Self { year, month, day, hour, minute, second, .. } = self;
        let _ = write!(out, "{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}");
        out
    }

    fn fraction(&self, out: &mut String) {
        if self.nanosecond != 0 {
            let _ = write!(out, ".{:09}", self.nanosecond);
            out.truncate(out.trim_end_matches('0').len());
        }
    }

    fn zone(&self, out: &mut String) {
        match self.offset {
            None => out.push('Z'),
            Some(offset) => {
                let (sign, hours, minutes) = split(offset);
                let _ = write!(out, "{sign}{hours:02}:{minutes:02}");
            }
        }
    }
}

fn split(offset: i32) -> (char, u32, u32) {
    let minutes = offset.unsigned_abs() / 60;
    (if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// What is left of the text of a time.
pub(super) struct Scan<'a>(pub &'a [u8]);

impl Scan<'_> {
    pub fn literal(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn digit(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        let digit = char::from(*first).to_digit(10)?;
        self.0 = rest;
        u8::try_from(digit).ok()
    }

    /// Exactly four digits.
    pub fn year(&mut self) -> Option<u16> {
        u16::from(self.two()?).checked_mul(100)?.checked_add(self.two()?.into())
    }

    /// Two digits or one.
    pub fn one_or_two(&mut self) -> Option<u8> {
        self.two().or_else(|| self.digit())
    }

    /// Exactly two digits; takes nothing if there are fewer.
    pub fn two(&mut self) -> Option<u8> {
        let start = self.0;
        let number = self.digit()?.checked_mul(10)?;
        if let Some(digit) = self.digit() {
            return number.checked_add(digit);
        }
        self.0 = start;
        None
    }

    /// Nanoseconds, if a fraction is next. Further digits are dropped.
    pub fn fraction(&mut self) -> u32 {
        let [b'.' | b',', b'0'..=b'9', ..] = self.0 else { return 0 };
        self.0 = self.0.get(1..).unwrap_or_default();
        let (mut nanoseconds, mut unit) = (0_u32, 100_000_000_u32);
        while let Some(digit) = self.digit() {
            nanoseconds = nanoseconds.saturating_add(unit.saturating_mul(digit.into()));
            unit /= 10;
        }
        nanoseconds
    }

    /// `Z`, or seconds east of UTC.
    pub fn offset(&mut self) -> Option<i32> {
        if self.literal(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.literal(b'+').is_some() { 1 } else { self.literal(b'-').map(|()| -1)? };
        let hours = i32::from(self.two()?);
        self.literal(b':')?;
        let minutes = i32::from(self.two()?);
        let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)?;
        (hours <= 24 && minutes <= 60).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::observed::{bytes, rows};

    #[test]
    fn times_are_read_and_written_as_in_go() {
        let mut count = 0;
        for row in rows(include_str!("../../tests/data/times.tsv")) {
            count += 1;
            match row.as_slice() {
                ["tp", text, "err"] => assert_eq!(Time::parse_rfc3339(&bytes(text)), None, "{row:?}"),
                ["tp", text, plain, nano, marshalled, printed] => {
                    let time = Time::parse_rfc3339(&bytes(text)).unwrap_or_else(|| panic!("{row:?}"));
                    assert_eq!(*time.rfc3339(), *plain);
                    assert_eq!(*time.rfc3339_nano(), *nano);
                    let text = time.marshal().map(|text| text.to_string());
                    assert_eq!(text.as_deref().unwrap_or("err"), *marshalled, "{row:?}");
                    assert_eq!(*time.printed(), *printed);
                }
                _ => panic!("{row:?}"),
            }
        }
        assert!(count > 80);
    }

    #[test]
    fn a_zero_offset_is_z() {
        for (text, offset) in [("Z", None), ("+00:00", None), ("-00:00", None), ("-07:30", Some(-27_000))] {
            let time = Time::parse_rfc3339(format!("2024-02-29T01:02:03{text}").as_bytes()).unwrap();
            assert_eq!(time.offset, offset);
        }
    }
}
