//! Numbers and booleans as Go's `strconv` reads and writes them.
//!
//! Values of type `float`, `int` and `bool` in a sops file, JSON and YAML numbers and the MAC all go through these
//! rules. Rust finds the shortest digits and rounds decimal text correctly, as Go does; grammar and layout are
//! Go's. Written numbers may be secrets, hence wiped strings.

use std::fmt::{self, Write as _};

use zeroize::Zeroizing;

/// Why Go refuses a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// The text is no number.
    Syntax,
    /// The number is too large.
    Range,
}

/// `ParseFloat(text, 64)`: decimal and hexadecimal, `inf`, `infinity` and `nan` in any case, underscores
/// between digits.
pub fn parse_float(text: &[u8]) -> Result<f64, NumberError> {
    let text = std::str::from_utf8(text).map_err(|_| NumberError::Syntax)?;
    let (negative, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let value = if ["inf", "infinity"].iter().any(|name| magnitude.eq_ignore_ascii_case(name)) {
        f64::INFINITY
    } else if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    } else {
        let plain = without_underscores(magnitude).ok_or(NumberError::Syntax)?;
        let value = match plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
            Some(digits) => hexadecimal(digits)?,
            None => decimal(&plain)?,
        };
        if value.is_infinite() {
            return Err(NumberError::Range);
        }
        value
    };
    Ok(if negative { -value } else { value })
}

/// The text without underscores, if each stands between digits or behind a base prefix.
fn without_underscores(text: &str) -> Option<Zeroizing<String>> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let prefix = text.get(..2).map(str::to_ascii_lowercase);
    let hex = prefix.as_deref() == Some("0x");
    let prefixed = hex || matches!(prefix.as_deref(), Some("0b" | "0o"));
    let (mut after_digit, mut after_underscore) = (false, false);
    for (at, c) in text.char_indices() {
        let digit = c.is_ascii_digit() || (hex && c.is_ascii_hexdigit()) || (prefixed && at < 2);
        match c {
            '_' if !after_digit => return None,
            '_' => {}
            _ if after_underscore && !digit => return None,
            _ => plain.push(c),
        }
        (after_digit, after_underscore) = (digit, c == '_');
    }
    (!after_underscore).then_some(plain)
}

/// How many digits stand at the front, and the text behind them.
fn skip_digits(text: &str) -> (usize, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (text.len().saturating_sub(rest.len()), rest)
}

/// The text behind a sign, if there is one.
fn skip_sign(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn decimal(text: &str) -> Result<f64, NumberError> {
    let (whole, mut rest) = skip_digits(text);
    let mut fraction = 0;
    if let Some(behind) = rest.strip_prefix('.') {
        (fraction, rest) = skip_digits(behind);
    }
    if whole == 0 && fraction == 0 {
        return Err(NumberError::Syntax);
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (digits, behind) = skip_digits(skip_sign(exponent));
        if digits == 0 || !behind.is_empty() {
            return Err(NumberError::Syntax);
        }
    } else if !rest.is_empty() {
        return Err(NumberError::Syntax);
    }
    text.parse().map_err(|_| NumberError::Syntax)
}

/// A hexadecimal float behind its `0x`: digits with at most one dot, then a binary exponent, which Go demands.
fn hexadecimal(text: &str) -> Result<f64, NumberError> {
    let (digits, exponent) = text.split_once(['p', 'P']).ok_or(NumberError::Syntax)?;
    let (count, behind) = skip_digits(skip_sign(exponent));
    if count == 0 || !behind.is_empty() {
        return Err(NumberError::Syntax);
    }
    let limit = 100_000_i64;
    // Longer exponents than i64 holds are far beyond the limit anyway.
    let far = if exponent.starts_with('-') { -limit } else { limit };
    let exponent = exponent.parse::<i64>().unwrap_or(far).clamp(-limit, limit);

    let (mut mantissa, mut dropped, mut any) = (0_u64, false, false);
    // The value is mantissa * 2^scale.
    let (mut scale, mut in_fraction) = (exponent, false);
    for c in digits.chars() {
        if c == '.' && !in_fraction {
            in_fraction = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16).ok_or(NumberError::Syntax)?);
        any = true;
        let full = mantissa >> 60 != 0;
        if full {
            dropped |= digit != 0;
        } else {
            mantissa = mantissa << 4 | digit;
        }
        scale = scale.saturating_add(match (full, in_fraction) {
            (true, false) => 4,
            (false, true) => -4,
            _ => 0,
        });
    }
    if any { scale_to_float(mantissa, dropped, scale) } else { Err(NumberError::Syntax) }
}

/// The double nearest to `mantissa * 2^scale`, ties to even; `more` if the true mantissa is a little larger.
fn scale_to_float(mantissa: u64, more: bool, scale: i64) -> Result<f64, NumberError> {
    if mantissa == 0 {
        return Ok(0.0);
    }
    let zeros = mantissa.leading_zeros();
    // 64 bits with the highest one set, and one for what was cut off.
    let bits = u128::from(mantissa << zeros) << 1 | u128::from(more);
    let exponent = scale.saturating_sub(i64::from(zeros)).saturating_add(63);
    if exponent > 1023 {
        return Err(NumberError::Range);
    }
    let below_normal = (-1022_i64).saturating_sub(exponent).max(0);
    // 53 of the 65 bits are kept, fewer below the normal range.
    let cut = u32::try_from(below_normal.min(60)).unwrap_or(60).saturating_add(12);
    let (kept, lost, half) = (bits >> cut, bits & !(u128::MAX << cut), 1_u128 << cut.saturating_sub(1));
    let up = lost > half || (lost == half && kept & 1 == 1);
    let kept = u64::try_from(kept).unwrap_or_default().saturating_add(u64::from(up));
    // The bit above the mantissa adds one to the exponent field; rounding up may carry into it.
    let field = u64::try_from(exponent.saturating_add(1022)).unwrap_or(0);
    let value = f64::from_bits((field << 52).saturating_add(kept));
    if value.is_infinite() { Err(NumberError::Range) } else { Ok(value) }
}

/// `ParseInt(text, 10, 64)`, also `Atoi`: an optional sign and decimal digits.
pub fn parse_int(text: &[u8]) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let text = std::str::from_utf8(text).map_err(|_| NumberError::Syntax)?;
    text.parse().map_err(|_| NumberError::Range)
}

/// `ParseBool`: 1, t, T, TRUE, true, True and their opposites.
#[must_use]
pub fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

/// A finite number as its shortest decimal digits: the value is 0.DIGITS * 10^point.
struct Digits {
    negative: bool,
    text: Buffer,
    point: i32,
}

/// What `{:e}` writes, on the stack.
#[derive(Default)]
struct Buffer(Zeroizing<[u8; 32]>, usize);

impl Buffer {
    fn as_str(&self) -> &str {
        self.0.get(..self.1).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl Buffer {
    /// Of two shortest decimals at the same distance from `value`, Go takes the one with an even last digit, Rust
    /// the larger one.
    fn settle_tie(&mut self, value: f64) {
        let count = self.1;
        let Some(last) =
            count.checked_sub(1).and_then(|at| self.0.get(at).copied()).filter(|last| last % 2 == 1)
        else {
            return;
        };
        // A tie continues with a 5 and nothing else. Most numbers do not: look at that digit first.
        let mut exact = Zeroizing::new(String::with_capacity(800));
        let _ = write!(exact, "{value:.count$e}");
        let next_is_five = exact.split('e').next().is_some_and(|mantissa| mantissa.ends_with('5'));
        if !next_is_five {
            return;
        }
        // No double has more than 767 digits.
        exact.clear();
        let _ = write!(exact, "{value:.767e}");
        let (mantissa, exponent) = exact.split_once('e').unwrap_or_default();
        let mut digits = mantissa.bytes().filter(u8::is_ascii_digit).skip(count.saturating_sub(1));
        let below = digits.next();
        if digits.next() != Some(b'5') || digits.any(|digit| digit != b'0') {
            return;
        }
        let other = if below == Some(last) { last.saturating_add(1) } else { last.saturating_sub(1) };
        let mut changed = Buffer(self.0.clone(), count);
        if let Some(digit) = changed.0.get_mut(count.saturating_sub(1)) {
            *digit = other;
        }
        let (first, rest) = changed.as_str().split_at_checked(1).unwrap_or_default();
        if format!("{first}.{rest}e{exponent}").parse() == Ok(value) {
            *self = changed;
        }
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.1.saturating_add(text.len());
        self.0.get_mut(self.1..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.1 = end;
        Ok(())
    }
}

impl Digits {
    /// The digits of a finite number; of others, how Go calls them.
    fn of(value: f64) -> Result<Self, &'static str> {
        match value {
            _ if value.is_nan() => return Err("NaN"),
            f64::INFINITY => return Err("+Inf"),
            f64::NEG_INFINITY => return Err("-Inf"),
            _ => {}
        }
        // Such as 1.2345e-7.
        let mut written = Buffer::default();
        let _ = write!(written, "{:e}", value.abs());
        let (mantissa, exponent) = written.as_str().split_once('e').unwrap_or_default();
        let mut text = Buffer::default();
        for part in mantissa.split('.') {
            let _ = text.write_str(part);
        }
        text.settle_tie(value.abs());
        let point = if value == 0.0 { 0 } else { exponent.parse::<i32>().unwrap_or(0).saturating_add(1) };
        Ok(Self { negative: value.is_sign_negative(), text, point })
    }

    /// The decimal exponent in scientific notation.
    fn exponent(&self) -> i32 {
        self.point.saturating_sub(1)
    }

    fn start(&self) -> Zeroizing<String> {
        // The longest plain form of a double has 324 zeros and 17 digits.
        let mut out = Zeroizing::new(String::with_capacity(360));
        if self.negative {
            out.push('-');
        }
        out
    }

    fn plain(&self) -> Zeroizing<String> {
        let mut out = self.start();
        let digits = self.text.as_str();
        let zeros = |count: i32| std::iter::repeat_n('0', usize::try_from(count).unwrap_or(0));
        let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
        if self.point <= 0 {
            out.push('0');
            if digits != "0" {
                out.push('.');
                out.extend(zeros(self.point.saturating_neg()));
                out.push_str(digits);
            }
        } else if self.point >= count {
            out.push_str(digits);
            out.extend(zeros(self.point.saturating_sub(count)));
        } else {
            let (whole, fraction) = digits.split_at(usize::try_from(self.point).unwrap_or(0));
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        out
    }

    fn scientific(&self, letter: char, width: usize) -> Zeroizing<String> {
        let mut out = self.start();
        let (first, fraction) = self.text.as_str().split_at(1);
        out.push_str(first);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
        let exponent = if self.text.as_str() == "0" { 0 } else { self.exponent() };
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{letter}{sign}{:0width$}", exponent.unsigned_abs());
        out
    }
}

/// `FormatFloat(value, 'f', -1, 64)`: the form that sops encrypts and hashes. Never an exponent; `NaN`,
/// `+Inf`, `-Inf`.
#[must_use]
pub fn format_plain(value: f64) -> Zeroizing<String> {
    match Digits::of(value) {
        Ok(digits) => digits.plain(),
        Err(name) => Zeroizing::new(name.to_owned()),
    }
}

/// `FormatFloat(value, letter 'g' or 'G', -1, 64)`, also `%v`: an exponent of at least two digits, marked `e`
/// or `E`, when it is below -4 or above 5.
#[must_use]
pub fn format_general(value: f64, upper: bool) -> Zeroizing<String> {
    match Digits::of(value) {
        Ok(digits) if (-4..6).contains(&digits.exponent()) || value == 0.0 => digits.plain(),
        Ok(digits) => digits.scientific(if upper { 'E' } else { 'e' }, 2),
        Err(name) => Zeroizing::new(name.to_owned()),
    }
}

/// As `encoding/json` writes it: an exponent without padding, below 1e-6 and from 1e21 on. None for what is
/// not finite.
#[must_use]
pub fn format_json(value: f64) -> Option<Zeroizing<String>> {
    let digits = Digits::of(value).ok()?;
    let plain = value == 0.0 || (-6..21).contains(&digits.exponent());
    Some(if plain { digits.plain() } else { digits.scientific('e', 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::observed::{bytes, rows};

    #[test]
    fn numbers_are_read_and_written_as_in_go() {
        let mut count = 0;
        for row in rows(include_str!("../../tests/data/numbers.tsv")) {
            count += 1;
            match row.as_slice() {
                ["pf", text, "err"] => assert!(parse_float(&bytes(text)).is_err(), "{row:?}"),
                ["pf", text, expected] => {
                    let value = parse_float(&bytes(text)).unwrap_or_else(|_| panic!("{row:?}"));
                    let expected: f64 = expected.parse().unwrap();
                    assert!(
                        value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan(),
                        "{row:?}"
                    );
                }
                ["pi", text, "err"] => assert!(parse_int(&bytes(text)).is_err(), "{row:?}"),
                ["pi", text, expected] => {
                    assert_eq!(parse_int(&bytes(text)), Ok(expected.parse().unwrap()), "{row:?}");
                }
                ["ff", value, plain, general, upper, json, _dotenv] => {
                    let value: f64 = value.parse().unwrap();
                    assert_eq!(*format_plain(value), *plain, "{row:?}");
                    assert_eq!(*format_general(value, false), *general, "{row:?}");
                    assert_eq!(*format_general(value, true), *upper, "{row:?}");
                    let written = format_json(value).map(|text| text.to_string());
                    assert_eq!(written.as_deref().unwrap_or("err"), *json, "{row:?}");
                }
                _ => panic!("{row:?}"),
            }
        }
        assert!(count > 150);
    }

    #[test]
    fn of_two_shortest_decimals_the_even_one_is_written() {
        for (bits, expected) in [
            (0xc300_1c05_8435_e8aa, "-566801205738773.2"),
            (0x4309_27c5_6275_3c52, "885075391457162.2"),
            (0x430c_4878_20aa_2292, "995122516149330.2"),
        ] {
            assert_eq!(*format_plain(f64::from_bits(bits)), expected);
        }
    }

    #[test]
    fn why_a_number_is_refused() {
        for (text, error) in
            [("1e400", NumberError::Range), ("0x1p1024", NumberError::Range), ("x", NumberError::Syntax)]
        {
            assert_eq!(parse_float(text.as_bytes()), Err(error));
        }
        assert_eq!(parse_int(b"9223372036854775808"), Err(NumberError::Range));
        assert_eq!(parse_int(b"1_0"), Err(NumberError::Syntax));
    }

    #[test]
    fn booleans() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(text.as_bytes()), Some(true));
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(text.as_bytes()), Some(false));
        }
        for text in ["", "tRUE", "yes", "on", "2", " true"] {
            assert_eq!(parse_bool(text.as_bytes()), None);
        }
    }
}
