//! What is printed. Nothing that a server says reaches a terminal as it is.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use qapi_runtime::Value;

use crate::failure::Failure;
use crate::options::Options;

/// How values are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON in ASCII, one value a line.
    Json,
    /// Members one below the other.
    Human,
}

impl Format {
    pub(crate) fn of(options: &Options) -> Self {
        if options.human || (!options.json && io::stdout().is_terminal()) {
            Self::Human
        } else {
            Self::Json
        }
    }

    /// Prints a result.
    pub(crate) fn print(self, value: &Value) -> Result<(), Failure> {
        print(&self.text(value))
    }

    /// A result as text. For people nothing is said of a command that returns nothing.
    pub(crate) fn text(self, value: &Value) -> String {
        let is_nothing = value.as_object().is_some_and(|members| members.is_empty());
        match self {
            // The wire form is ASCII, with escapes for controls.
            Self::Json => format!("{value}\n"),
            Self::Human if is_nothing => String::new(),
            Self::Human => {
                let mut text = String::new();
                render(&mut text, value, 0, false);
                text
            }
        }
    }

    /// An event as a line.
    pub(crate) fn event(self, message: &Value) -> String {
        let name = message.get("event").and_then(Value::as_str);
        match (self, name, message.get("data")) {
            (Self::Human, Some(name), Some(data)) => format!("event {}: {data}\n", shown(name)),
            (Self::Human, Some(name), None) => format!("event {}\n", shown(name)),
            (Self::Json, ..) | (Self::Human, None, _) => format!("{message}\n"),
        }
    }
}

/// Prints text of a server with its lines.
pub(crate) fn print_lines(text: &str) -> Result<(), Failure> {
    let mut printed = String::new();
    for line in text.lines() {
        printed.push_str(&shown(line));
        printed.push('\n');
    }
    print(&printed)
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(|error| Failure::Io("standard output".to_owned(), error))
}

/// A text without what a terminal would obey: controls, and what changes the direction of text.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for ch in text.chars() {
        if is_obeyed(ch) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", ch.escape_unicode());
        } else {
            shown.push(ch);
        }
    }
    shown
}

/// Whether a terminal would obey a character, and not only show it.
pub(crate) fn is_obeyed(ch: char) -> bool {
    let turns =
        matches!(ch, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    ch.is_control() || turns
}

/// Writes a value with its members one below the other. In a list the first member stands on the line of its dash.
fn render(out: &mut String, value: &Value, depth: usize, mut is_begun: bool) {
    let indent = |out: &mut String, is_begun: &mut bool| {
        if !std::mem::take(is_begun) {
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                indent(out, &mut is_begun);
                out.push_str(&shown(name));
                out.push(':');
                render_below(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(out, &mut is_begun);
                out.push_str("- ");
                render(out, item, depth + 1, true);
            }
        }
        _ => {
            indent(out, &mut is_begun);
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn render_below(out: &mut String, value: &Value, depth: usize) {
    let has_parts = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Double(_)
        | Value::String(_) => false,
    };
    if has_parts {
        out.push('\n');
        render(out, value, depth + 1, false);
    } else {
        out.push(' ');
        render(out, value, depth, true);
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_for_people() {
        let value: Value = serde_json::from_str(
            r#"{"a": 1, "b": {"c": ["x", {"d": true, "e": []}], "f": {}}, "g": "\u001b[31m\u009b"}"#,
        )
        .expect("JSON");
        let mut text = String::new();
        render(&mut text, &value, 0, false);
        let expected =
            "a: 1\nb:\n  c:\n    - x\n    - d: true\n      e: []\n  f: {}\ng: \\u{1b}[31m\\u{9b}\n";
        assert_eq!(text, expected);
    }
}
