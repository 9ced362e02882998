//! Values as text, for the formats that know only text: dotenv and INI.

use crate::{
    plaintext::Plaintext,
    sops::{
        number::format_general,
        value::{Entry, Value},
    },
};

/// A value as sops turns it into text for these formats: floats always with a dot or an exponent, times
/// without a fraction, null as `<nil>`, lists and maps as Go prints its own.
pub(super) fn text_of(value: &Value) -> Plaintext {
    let mut out = Plaintext::default();
    match value {
        Value::Float(number) => {
            let text = format_general(*number, true);
            out.push(text.as_bytes());
            if number.is_finite() && !text.contains(['.', 'E']) {
                out.push(b".0");
            }
        }
        Value::Time(time) => out.push(time.rfc3339().as_bytes()),
        other => print(&mut out, other),
    }
    out
}

/// `fmt.Sprintf("%v", value)`.
fn print(out: &mut Plaintext, value: &Value) {
    match value {
        Value::Null => out.push(b"<nil>"),
        Value::Bool(flag) => out.push(if *flag { b"true" } else { b"false" }),
        Value::Int(number) => out.push(zeroize::Zeroizing::new(number.to_string()).as_bytes()),
        Value::Float(number) => out.push(format_general(*number, false).as_bytes()),
        Value::Time(time) => out.push(time.printed().as_bytes()),
        Value::Str(text) => out.push(text),
        Value::Comment(text) => braced(out, text),
        Value::List(items) => {
            out.push(b"[");
            for (at, item) in items.iter().enumerate() {
                space(out, at);
                print(out, item);
            }
            out.push(b"]");
        }
        Value::Map(branch) => {
            out.push(b"[");
            for (at, entry) in branch.iter().enumerate() {
                space(out, at);
                out.push(b"{");
                match entry {
                    Entry::Comment(text) => {
                        braced(out, text);
                        out.push(b" <nil>");
                    }
                    Entry::Pair(key, value) => {
                        out.push(key);
                        out.push(b" ");
                        print(out, value);
                    }
                }
                out.push(b"}");
            }
            out.push(b"]");
        }
    }
}

fn braced(out: &mut Plaintext, text: &[u8]) {
    out.push(b"{");
    out.push(text);
    out.push(b"}");
}

fn space(out: &mut Plaintext, at: usize) {
    if at > 0 {
        out.push(b" ");
    }
}
