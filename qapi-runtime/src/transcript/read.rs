//! From text to entries.

use super::{Entry, FORM, TranscriptError, TranscriptErrorKind, VERSION};
use crate::json::Document;

/// The entries of a log in their order, each made when it is asked for. After a mistake there are no more.
#[derive(Debug)]
pub struct Entries<'t> {
    rest: &'t str,
    /// The number of the line that was taken last.
    line: usize,
    /// Whether the first line was one of a log.
    is_log: bool,
    is_over: bool,
}

/// Reads the text of a log. Of it all only the line at hand is in memory as a value.
pub fn entries(text: &str) -> Entries<'_> {
    Entries {
        rest: text,
        line: 0,
        is_log: false,
        is_over: false,
    }
}

impl Entries<'_> {
    /// The entry of the next line that has one; `None` at the end.
    fn read(&mut self) -> Result<Option<Entry>, TranscriptError> {
        while !self.rest.is_empty() {
            let (text, is_cut) = match self.rest.split_once('\n') {
                Some((line, rest)) => {
                    self.rest = rest;
                    (line, false)
                }
                None => (std::mem::take(&mut self.rest), true),
            };
            self.line += 1;
            if text.trim().is_empty() {
                continue;
            }
            let line = Document::parse(text.as_bytes()).map_err(|error| {
                self.failed(match is_cut {
                    true => TranscriptErrorKind::Cut(error),
                    false => TranscriptErrorKind::NotJson(error),
                })
            })?;
            if self.is_log {
                let entry = Entry::from_line(line.root(), self.line);
                let entry =
                    entry.map_err(|name| self.failed(TranscriptErrorKind::BadMember(name)))?;
                if entry.is_some() {
                    return Ok(entry);
                }
                continue;
            }
            match line.root().get(FORM) {
                Some(version) if version.as_i64() == Some(VERSION) => self.is_log = true,
                Some(version) => {
                    let version = version.to_string();
                    return Err(self.failed(TranscriptErrorKind::OtherVersion(version)));
                }
                None => return Err(self.failed(TranscriptErrorKind::NotALog)),
            }
        }
        match self.is_log {
            true => Ok(None),
            false => Err(TranscriptError {
                line: 1,
                kind: TranscriptErrorKind::NotALog,
            }),
        }
    }

    fn failed(&self, kind: TranscriptErrorKind) -> TranscriptError {
        TranscriptError {
            line: self.line,
            kind,
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, TranscriptError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let entry = self.read().transpose();
        self.is_over = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_a_mistake_is_read() {
        let text = "{\"qmp-session-log\": 1}\n{\"connection\": 1, \"sent\": {}}\n\n{\"connection\": 1, \"sent\"\n{}\n";
        let mut entries = entries(text);
        assert_eq!(entries.next().unwrap().unwrap().line, 2);
        assert_eq!(entries.next().unwrap().unwrap_err().line(), 4);
        assert!(entries.next().is_none());
    }
}
