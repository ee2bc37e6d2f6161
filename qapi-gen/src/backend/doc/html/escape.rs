//! Text in HTML.

use crate::markup::{is_hostile, push_visible};

/// Appends `text` so that it is text, in an element or in an attribute between double quotes.
pub(super) fn push_text(out: &mut String, text: &str) {
    let is_plain = |byte: u8| {
        matches!(byte, b' '..=b'~' | b'\n' | b'\t')
            && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
    };
    let mut rest = text;
    while let Some(end) = rest.bytes().position(|byte| !is_plain(byte)) {
        out.push_str(&rest[..end]);
        let Some(ch) = rest[end..].chars().next() else {
            break;
        };
        match ch {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ if is_hostile(ch) => push_visible(out, ch),
            _ => out.push(ch),
        }
        rest = &rest[end + ch.len_utf8()..];
    }
    out.push_str(rest);
}

/// Appends `text` as a part of an address after `#`.
pub(super) fn push_fragment(out: &mut String, text: &str) {
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if is_plain {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Appends an address, in which whatever is not allowed there is encoded.
pub(super) fn push_address(out: &mut String, address: &str) {
    for byte in address.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$()*+,;=%".contains(&byte);
        if is_plain {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Appends `text` as a string of JavaScript that may stand in any file.
pub(super) fn push_js_string(out: &mut String, text: &str) {
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' | '\t' => out.push(' '),
            '<' => out.push_str("\\u003c"),
            _ if is_hostile(ch) => push_visible(out, ch),
            _ => out.push(ch),
        }
    }
    out.push('"');
}
