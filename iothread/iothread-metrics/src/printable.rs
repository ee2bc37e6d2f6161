//! Text of others on a terminal of ours.

use unicode_width::UnicodeWidthChar;

/// What a server calls things goes to a terminal, so it must not steer that, nor change the direction of the line. What does
/// such things, or is not to be seen, is named, as in `<U+202E>`.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for ch in text.chars() {
        let is_hidden = match ch {
            // Line and paragraph separators; marks that embed, override or isolate a direction, and those without a width.
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
            '\u{61c}' | '\u{feff}' => true,
            ch => ch.width().is_none(),
        };
        if is_hidden {
            shown.push_str(&format!("<U+{:04X}>", u32::from(ch)));
        } else {
            shown.push(ch);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_named() {
        for (text, shown) in [
            (
                "\u{1b}[2J\r\n\0\u{85}",
                "<U+001B>[2J<U+000D><U+000A><U+0000><U+0085>",
            ),
            ("a\u{202e}b\u{200b}", "a<U+202E>b<U+200B>"),
            ("線程零", "線程零"),
            ("e\u{301}", "e\u{301}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
