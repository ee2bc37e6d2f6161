//! Descriptions of the form `TYPE,id=ID,KEY=VALUE...`, as on QEMU's command line.

use qapi_runtime::{Error, Object, Value};

/// The kind of value that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Int,
    Size,
    Bool,
    String,
}

/// Splits a description into keys and values; the first may be a value alone, that of `implied`. Of a key that is given
/// twice the last value counts.
pub(crate) fn parse(text: &str, implied: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    let mut first = true;
    while !rest.is_empty() {
        let key_end = rest.find(['=', ',']).unwrap_or(rest.len());
        let has_value = rest[key_end..].starts_with('=');
        let (key, value) = if has_value {
            let key = rest[..key_end].to_owned();
            (key, take_value(&rest[key_end + 1..], &mut rest))
        } else {
            let word = take_value(rest, &mut rest);
            if first {
                (implied.to_owned(), word)
            } else {
                // QEMU's short form of a switch.
                (word, "on".to_owned())
            }
        };
        first = false;
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
    }
    pairs
}

/// The text up to a comma that is not doubled; `rest` is what follows that comma.
fn take_value<'t>(text: &'t str, rest: &mut &'t str) -> String {
    let mut value = String::new();
    let mut remaining = text;
    loop {
        let end = remaining.find(',').unwrap_or(remaining.len());
        value.push_str(&remaining[..end]);
        remaining = &remaining[end..];
        if let Some(after) = remaining.strip_prefix(",,") {
            value.push(',');
            remaining = after;
        } else {
            *rest = remaining.strip_prefix(',').unwrap_or(remaining);
            return value;
        }
    }
}

/// Gives each value its type; `kind_of` knows the keys.
///
/// # Errors
///
/// A value that does not have the form of its type, in QEMU's words.
pub(crate) fn typed(
    pairs: Vec<(String, String)>,
    kind_of: impl Fn(&str) -> Option<ValueKind>,
) -> Result<Object, Error> {
    let mut object = Object::new();
    for (key, text) in pairs {
        let value = match kind_of(&key) {
            Some(ValueKind::Int) => parse_int(&text)
                .map(Value::from)
                .ok_or_else(|| expects(&key, "an int64 value"))?,
            Some(ValueKind::Size) => parse_size(&text)
                .map(Value::from)
                .ok_or_else(|| expects(&key, "a size value"))?,
            Some(ValueKind::Bool) => match text.as_str() {
                "on" | "yes" | "true" | "y" => Value::Bool(true),
                "off" | "no" | "false" | "n" => Value::Bool(false),
                _ => return Err(expects(&key, "'on' or 'off'")),
            },
            Some(ValueKind::String) => Value::String(text),
            None => return Err(Error::generic(format!("Invalid parameter '{key}'"))),
        };
        object.insert(key, value);
    }
    Ok(object)
}

fn expects(key: &str, what: &str) -> Error {
    Error::generic(format!("Parameter '{key}' expects {what}"))
}

/// An integer as C writes it: decimal, 0x... or 0....
fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    let (radix, digits) = split_radix(digits);
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn split_sign(text: &str) -> (bool, &str) {
    let text = text.trim_start();
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn split_radix(digits: &str) -> (u32, &str) {
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => (16, hex),
        (None, Some(octal)) if !octal.is_empty() => (8, octal),
        (None, _) => (10, digits),
    }
}

/// A number of bytes with an optional suffix.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (end, suffix) if suffix.is_ascii_alphabetic() => {
            let shift = match suffix.to_ascii_uppercase() {
                'B' => 0,
                'K' => 10,
                'M' => 20,
                'G' => 30,
                'T' => 40,
                'P' => 50,
                'E' => 60,
                _ => return None,
            };
            (&text[..end], shift)
        }
        _ => (text, 0),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text, "qom-type")
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn forms() {
        assert_eq!(
            pairs("iothread,id=io0,poll-max-ns=5"),
            [
                pair("qom-type", "iothread"),
                pair("id", "io0"),
                pair("poll-max-ns", "5")
            ]
        );
        assert_eq!(pairs("id=a,id=b"), [pair("id", "b")]);
        assert_eq!(pairs("iothread,,id=x"), [pair("qom-type", "iothread,id=x")]);
        assert_eq!(pairs("a,x"), [pair("qom-type", "a"), pair("x", "on")]);
        assert_eq!(pairs("a,=3"), [pair("qom-type", "a"), pair("", "3")]);
        assert_eq!(pairs("a,x="), [pair("qom-type", "a"), pair("x", "")]);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn integers() {
        for (text, value) in [
            ("5", Some(5)),
            ("-1", Some(-1)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("5k", None),
            ("--1", None),
            ("0x", None),
        ] {
            assert_eq!(parse_int(text), value, "{text}");
        }
        assert_eq!(parse_size("4k"), Some(4096));
        assert_eq!(parse_size("99999999999E"), None);
        assert_eq!(parse_size("k"), None);
    }
}
