//! The wire form of values.

use super::number::{push_double, push_signed, push_unsigned};
use super::{Node, ValueRef};
use crate::value::Value;

/// Appends a string in quotes, ASCII only: everything else as `\uXXXX` in upper case.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        if PLAIN[usize::from(byte)] {
            index += 1;
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            0x08 => b"\\b",
            0x0c => b"\\f",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x7f => {
                push_hex(out, u16::from(byte));
                index += 1;
                plain = index;
                continue;
            }
            0x80..=0xff => {
                let Some(char) = text.get(index..).and_then(|rest| rest.chars().next()) else {
                    break;
                };
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    push_hex(out, *unit);
                }
                index += char.len_utf8();
                plain = index;
                continue;
            }
        };
        out.extend_from_slice(escape);
        index += 1;
        plain = index;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Bytes that stand for themselves inside a string.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};

fn push_hex(out: &mut Vec<u8>, unit: u16) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[usize::from(unit >> shift) & 0xf]);
    }
}

/// Writes the wire form of values into a buffer.
///
/// The calls must follow the grammar; the writer adds separators, and in pretty mode line ends
/// and four spaces a level.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    depth: usize,
    pretty: bool,
    /// Whether the next value or key follows another in its container.
    comma: bool,
    /// Whether the next value follows its key.
    keyed: bool,
}

impl Writer {
    /// A writer of one-line form into an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that appends to `out`.
    pub fn with_buffer(out: Vec<u8>) -> Self {
        Self {
            out,
            ..Self::default()
        }
    }

    /// Switches the pretty form on or off; to be called between values.
    pub fn set_pretty(&mut self, pretty: bool) {
        self.pretty = pretty;
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// The buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    #[inline]
    fn separate(&mut self) {
        if self.keyed {
            self.keyed = false;
            return;
        }
        if self.comma {
            self.out.push(b',');
            if self.pretty {
                self.new_line();
            } else {
                self.out.push(b' ');
            }
        } else if self.pretty && self.depth > 0 {
            self.new_line();
        }
        self.comma = true;
    }

    fn new_line(&mut self) {
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(b' ', self.depth * 4));
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(b"null");
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.separate();
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Writes an integer.
    pub fn int(&mut self, value: i64) {
        self.separate();
        push_signed(&mut self.out, value);
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) {
        self.separate();
        push_unsigned(&mut self.out, value);
    }

    /// Writes a double as `%.17g` prints it.
    ///
    /// Differs from QEMU: infinity, which QEMU prints as `inf`, becomes a number that every reader takes for infinite, and
    /// what is not a number becomes `null`.
    pub fn double(&mut self, value: f64) {
        self.separate();
        push_double(&mut self.out, value);
    }

    /// Writes a string.
    pub fn string(&mut self, value: &str) {
        self.separate();
        push_string(&mut self.out, value);
    }

    /// Writes the wire form of one value as it is given.
    pub fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.out.extend_from_slice(json);
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.begin(b'[');
    }

    /// Closes an array.
    pub fn end_array(&mut self) {
        self.end(b']');
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// Closes an object.
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    fn begin(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.depth += 1;
        self.comma = false;
    }

    fn end(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        if self.pretty {
            self.new_line();
        }
        self.out.push(bracket);
        self.comma = true;
        self.keyed = false;
    }

    /// Writes the key of the next member.
    pub fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.out, key);
        self.out.extend_from_slice(b": ");
        self.keyed = true;
    }

    /// Writes a tree.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Int(value) => self.int(*value),
            Value::UInt(value) => self.uint(*value),
            Value::Double(value) => self.double(*value),
            Value::String(value) => self.string(value),
            Value::Array(items) => {
                self.begin_array();
                for item in items {
                    self.value(item);
                }
                self.end_array();
            }
            Value::Object(members) => {
                self.begin_object();
                for (key, value) in members {
                    self.key(key);
                    self.value(value);
                }
                self.end_object();
            }
        }
    }

    /// Writes a value of a document.
    pub fn value_ref(&mut self, value: ValueRef<'_>) {
        match value.node() {
            Node::Null => self.null(),
            Node::Bool(value) => self.bool(value),
            Node::Int(value) => self.int(value),
            Node::UInt(value) => self.uint(value),
            Node::Double(value) => self.double(value),
            Node::String { .. } => self.string(value.as_str().unwrap_or("")),
            Node::Array { .. } => {
                self.begin_array();
                for item in value.elements() {
                    self.value_ref(item);
                }
                self.end_array();
            }
            Node::Object { .. } => {
                self.begin_object();
                for (key, value) in value.members() {
                    self.key(key);
                    self.value_ref(value);
                }
                self.end_object();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_ascii() {
        let mut out = Vec::new();
        push_string(
            &mut out,
            "a\"\\/\u{8}\u{c}\n\r\t\u{1}\u{7f}\u{e9}\u{20ac}\u{1f600}z",
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#""a\"\\/\b\f\n\r\t\u0001\u007F\u00E9\u20AC\uD83D\uDE00z""#
        );
    }

    #[test]
    fn separators_and_pretty_form() {
        let value = Value::from_iter([
            ("a".to_owned(), Value::from(1)),
            ("b".to_owned(), Value::from(vec![1, 2])),
            ("c".to_owned(), Value::Array(Vec::new())),
        ]);
        assert_eq!(value.to_string(), r#"{"a": 1, "b": [1, 2], "c": []}"#);
        assert_eq!(
            format!("{value:#}"),
            "{\n    \"a\": 1,\n    \"b\": [\n        1,\n        2\n    ],\n    \"c\": [\n    ]\n}"
        );
    }
}
