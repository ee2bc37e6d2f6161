//! Text of others on a terminal of ours.

pub(crate) use iothread_metrics::printable;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

/// The end of a text that does not fit into so many columns, behind a `+`.
pub(crate) fn end_of(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let is_room = |ch: &char| {
        used += ch.width().unwrap_or(0);
        // One is left for the mark.
        used < width
    };
    let kept = text.chars().rev().take_while(is_room).count();
    let n_cut = text.chars().count() - kept;
    let end: String = text.chars().skip(n_cut).collect();
    match width {
        0 => end,
        _ => format!("+{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (text, width, shown) in [
            ("unix:/run/a.qmp", 15, "unix:/run/a.qmp"),
            ("unix:/run/a.qmp", 6, "+a.qmp"),
            ("線程零", 5, "+程零"),
            ("線程零", 4, "+零"),
            ("abcd", 1, "+"),
            ("abcd", 0, ""),
        ] {
            assert_eq!(end_of(text, width), shown, "{width}");
            assert!(shown.width() <= width);
        }
    }
}
