//! Text of others on a terminal of ours.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a server calls things goes to a terminal, so it must not steer that, nor change the direction of the line. What does
/// such things, or is not to be seen, is named, as in `<U+202E>`.
pub(crate) fn printable(text: &str) -> String {
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

/// Fills a text up to so many columns of the terminal, on the right.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// Fills it up on the left.
pub(crate) fn right_aligned(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{}{text}", " ".repeat(missing))
}

/// As much of a text as fits into so many columns; a `+` at the end says that there is more.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.len() <= width || text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for ch in text.chars() {
        used += ch.width().unwrap_or(0);
        // One is left for the mark.
        if used >= width {
            break;
        }
        shown.push(ch);
    }
    if width > 0 {
        shown.push('+');
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

    #[test]
    fn what_is_too_long_ends_with_a_mark() {
        for (text, width, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab+"),
            ("線程零", 6, "線程零"),
            ("線程零", 5, "線程+"),
            ("線程零", 4, "線+"),
            ("abcd", 1, "+"),
            ("abcd", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, width), shown, "{width}");
            assert!(shown.width() <= width);
        }
    }
}
