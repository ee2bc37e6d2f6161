//! Files that are there beside the text that should be in them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};

/// How like a file is to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    /// Lines end with CR LF where they should end with LF.
    LineEnds,
    Different,
}

/// Compares a file with text that comes in pieces.
pub(super) struct Comparison {
    found: BufReader<File>,
    /// The line that was read last, and how much of it was compared.
    line: Vec<u8>,
    at: usize,
    likeness: Likeness,
}

/// What is read at once of a line without an end.
const LINE: u64 = 1 << 20;

impl Comparison {
    pub(super) fn new(found: File) -> Self {
        Self {
            found: BufReader::with_capacity(64 << 10, found),
            line: Vec::new(),
            at: 0,
            likeness: Likeness::Same,
        }
    }

    /// The next piece of the text.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.likeness != Likeness::Different && !bytes.is_empty() {
            if self.at == self.line.len() {
                self.line.clear();
                self.at = 0;
                let mut next = self.found.by_ref().take(LINE);
                next.read_until(b'\n', &mut self.line)?;
            }
            let line = &self.line[self.at..];
            let n = line.len().min(bytes.len());
            let text = line.strip_suffix(b"\r\n").unwrap_or(line);
            if n > 0 && line[..n] == bytes[..n] {
                bytes = &bytes[n..];
                self.at += n;
            } else if let Some(rest) = bytes
                .strip_prefix(text)
                .and_then(|rest| rest.strip_prefix(b"\n"))
            {
                bytes = rest;
                self.at = self.line.len();
                self.likeness = Likeness::LineEnds;
            } else {
                self.likeness = Likeness::Different;
            }
        }
        Ok(())
    }

    /// How like they are, now that there is no more text.
    pub(super) fn finish(mut self) -> io::Result<Likeness> {
        if self.at < self.line.len() || !self.found.fill_buf()?.is_empty() {
            return Ok(Likeness::Different);
        }
        Ok(self.likeness)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn line_ends_are_told_from_other_differences() {
        let folder = ::tests::temporary().expect("a folder");
        let path = folder.path().join("found");
        for (found, text, expected) in [
            ("a\nb\n", "a\nb\n", Likeness::Same),
            ("a\r\nb\r\n", "a\nb\n", Likeness::LineEnds),
            ("a\nb\r\n", "a\nb\n", Likeness::LineEnds),
            ("a\r\nb", "a\nb", Likeness::LineEnds),
            ("\r\n\r\n", "\n\n", Likeness::LineEnds),
            ("a\r\nb\r\n", "a\r\nb\r\n", Likeness::Same),
            ("a\nb\n", "a\r\nb\n", Likeness::Different),
            ("a\r\r\n", "a\n", Likeness::Different),
            ("a\rb\n", "ab\n", Likeness::Different),
            ("a\r\nc\r\n", "a\nb\n", Likeness::Different),
            ("a\r\n", "a\nb\n", Likeness::Different),
            ("a\r\nb\r\n", "a\n", Likeness::Different),
            ("a\r\n", "a", Likeness::Different),
            ("", "a", Likeness::Different),
            ("a", "", Likeness::Different),
            ("", "", Likeness::Same),
        ] {
            fs::write(&path, found).expect("written");
            // Wherever a piece ends.
            for at in 0..=text.len() {
                let mut comparison = Comparison::new(File::open(&path).expect("a file"));
                for piece in [&text[..at], &text[at..]] {
                    comparison.push(piece.as_bytes()).expect("read");
                }
                let likeness = comparison.finish().expect("read");
                assert_eq!(likeness, expected, "{found:?} {text:?} {at}");
            }
        }
    }
}
