//! roff with the macros of man(7).

use crate::markup::{is_hostile, push_visible};

/// Appends `text` so that roff takes none of it for a request or an escape. A line end becomes a
/// blank: what starts a line of the output is always ours, or guarded.
pub(super) fn push_text(out: &mut String, text: &str) {
    push(out, text, false);
}

/// As [`push_text`] for names and code, in which a hyphen is a minus and quotes are plain.
pub(super) fn push_code(out: &mut String, text: &str) {
    push(out, text, true);
}

fn push(out: &mut String, text: &str, is_code: bool) {
    // A request starts with a full stop or an apostrophe at the start of a line.
    if text.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for ch in text.chars() {
        match ch {
            '\\' => out.push_str("\\e"),
            '\n' | '\t' => out.push(' '),
            '-' if is_code => out.push_str("\\-"),
            '\'' if is_code => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            _ if is_hostile(ch) => {
                let mut name = String::new();
                push_visible(&mut name, ch);
                push(out, &name, is_code);
            }
            ' '..='~' => out.push(ch),
            _ => out.push_str(&format!("\\[u{:04X}]", ch as u32)),
        }
    }
}
