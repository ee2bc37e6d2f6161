//! Values of labels.

use crate::printable;

/// The longest value of a label, in characters.
pub const MAX_LABEL: usize = 256;

/// A value of a label: short, and nothing in it steers whatever shows it.
#[must_use]
pub fn label(text: &str) -> String {
    let short: String = text.chars().take(MAX_LABEL).collect();
    printable(&short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_named_and_what_is_long_is_cut() {
        assert_eq!(
            label("a\n\u{1b}[2J\"\u{202e}"),
            "a<U+000A><U+001B>[2J\"<U+202E>"
        );
        assert_eq!(label(&"x".repeat(1_000)), "x".repeat(MAX_LABEL));
    }
}
