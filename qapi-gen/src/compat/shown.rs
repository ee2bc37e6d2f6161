//! Names as messages show them.

use crate::markup::{is_hostile, push_visible};

/// The most characters of a name that messages show.
const MAX_SHOWN: usize = 80;

/// A name for messages: it may be anything that a client or a server has said.
pub(super) fn shown(name: &str) -> String {
    let mut out = String::new();
    for (n, ch) in name.chars().enumerate() {
        if n == MAX_SHOWN {
            out.push('\u{2026}');
            break;
        }
        match ch {
            '\n' | '\t' => push_visible(&mut out, ch),
            _ if is_hostile(ch) => push_visible(&mut out, ch),
            _ => out.push(ch),
        }
    }
    out
}
