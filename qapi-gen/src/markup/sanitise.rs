//! Characters that would do something to a reader's screen.

use std::fmt::Write as _;

/// Whether `ch` is a control character, or one that changes how the text around it is shown
/// without being seen itself. A line end and a tab are text.
pub(crate) fn is_hostile(ch: char) -> bool {
    match ch {
        '\n' | '\t' => false,
        // Most text ends here.
        ' '..='~' => false,
        // Direction, invisible operators, byte order mark, tags.
        '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{61c}'
        | '\u{e0000}'..='\u{e007f}' => true,
        // Not characters at all.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ => ch.is_control() || (ch as u32) & 0xfffe == 0xfffe,
    }
}

/// Puts the name of a hostile character in its place: `‹U+202E›`.
pub(crate) fn push_visible(out: &mut String, ch: char) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\u{2039}U+{:04X}\u{203a}", ch as u32);
}
