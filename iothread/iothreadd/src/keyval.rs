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

/// Keys and their values.
pub(crate) type Pairs = Vec<(String, String)>;

/// An unknown key, where values have types.
pub(crate) fn unexpected(key: &str) -> Error {
    Error::generic(format!("Parameter '{key}' is unexpected"))
}

/// An unknown key, where values are texts.
pub(crate) fn invalid(key: &str) -> Error {
    Error::generic(format!("Invalid parameter '{key}'"))
}

/// Splits a description into keys and values; the first may be a value alone, that of `implied`. Of a key that is given
/// twice the last value counts.
///
/// # Errors
///
/// In QEMU's words: a key without a value.
pub(crate) fn parse(text: &str, implied: &str) -> Result<Pairs, Error> {
    split(text, implied, |word| {
        Err(Error::generic(format!(
            "Expected '=' after parameter '{word}'"
        )))
    })
}

/// The same for the options that know QEMU's short form of a switch: `wait` for `wait=on`, `nowait` for `wait=off`.
pub(crate) fn parse_options(text: &str, implied: &str) -> Pairs {
    let Ok(pairs) = split(text, implied, |word| {
        Ok::<_, std::convert::Infallible>(switch(word))
    });
    pairs
}

/// What a word alone says.
fn switch(word: &str) -> (String, String) {
    match word.strip_prefix("no") {
        Some(name) if !name.is_empty() && word != "nodelay" => (name.to_owned(), "off".to_owned()),
        _ => (word.to_owned(), "on".to_owned()),
    }
}

/// A switch in the short form, which QEMU advises against.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShortForm {
    word: String,
    name: String,
    value: String,
}

impl std::fmt::Display for ShortForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { word, name, value } = self;
        write!(
            f,
            "warning: short-form boolean option '{word}' deprecated\nPlease use {name}={value} instead"
        )
    }
}

/// The switches in the short form among options.
pub(crate) fn short_forms(text: &str) -> Vec<ShortForm> {
    let mut found = Vec::new();
    if text.starts_with('{') {
        return found;
    }
    let note = |word: &str| {
        let (name, value) = switch(word);
        found.push(ShortForm {
            word: word.to_owned(),
            name: name.clone(),
            value: value.clone(),
        });
        Ok::<_, std::convert::Infallible>((name, value))
    };
    // What is not short is of no interest here.
    let _ = split(text, "", note);
    found
}

fn split<E>(
    text: &str,
    implied: &str,
    mut word_alone: impl FnMut(&str) -> Result<(String, String), E>,
) -> Result<Pairs, E> {
    let mut pairs: Pairs = Vec::new();
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
                word_alone(&word)?
            }
        };
        first = false;
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
    }
    Ok(pairs)
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

/// How messages call an integer: those about objects of the command line, and properties for people, differ from all others,
/// as in QEMU.
pub(crate) const INTEGER: &str = "integer";
pub(crate) const INTEGER_OF_OBJECT: &str = "an int64 value";

/// Gives each value its type; `kind_of` knows the keys, and `integer` is how messages call an integer.
///
/// # Errors
///
/// A value that does not have the form of its type, in QEMU's words.
pub(crate) fn typed(
    pairs: Pairs,
    integer: &str,
    kind_of: impl Fn(&str) -> Option<ValueKind>,
) -> Result<Object, Error> {
    let mut object = Object::new();
    for (key, text) in pairs {
        let value = match kind_of(&key) {
            Some(ValueKind::Int) => parse_int(&text)
                .map(Value::from)
                .ok_or_else(|| expects(&key, integer))?,
            Some(ValueKind::Size) => parse_size(&text)
                .map(Value::from)
                .ok_or_else(|| expects(&key, "a size value"))?,
            Some(ValueKind::Bool) => match text.as_str() {
                "on" | "yes" | "true" | "y" => Value::Bool(true),
                "off" | "no" | "false" | "n" => Value::Bool(false),
                _ => return Err(expects(&key, "'on' or 'off'")),
            },
            Some(ValueKind::String) => Value::String(text),
            None => return Err(unexpected(&key)),
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

    fn pairs(text: &str) -> Pairs {
        parse(text, "qom-type").unwrap()
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
        let error = parse("a,x", "qom-type").unwrap_err();
        assert_eq!(error.desc, "Expected '=' after parameter 'x'");
        assert_eq!(
            parse_options("a,x,noy,nodelay", "type"),
            [
                pair("type", "a"),
                pair("x", "on"),
                pair("y", "off"),
                pair("nodelay", "on")
            ]
        );
        let told: Vec<_> = short_forms("a,x,noy,z=no,nodelay")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told.len(), 3);
        assert_eq!(
            told[1],
            "warning: short-form boolean option 'noy' deprecated\nPlease use y=off instead"
        );
        assert_eq!(short_forms("{\"a\": [1,2]}"), []);
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
