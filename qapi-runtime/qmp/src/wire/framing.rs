//! Messages in a stream of bytes, as they were written.

use qapi_runtime::json::{Document, Limits, Parsed, Parser};

use crate::output::is_obeyed;

/// What of a text that is no JSON is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// The byte that resets the parser of a guest agent. It is in no JSON.
const RESET: u8 = 0xff;

/// Something that was said.
#[derive(Debug)]
pub(crate) enum Said {
    /// A message.
    Message(Message),
    /// No JSON; the beginning of it.
    Text(String),
}

/// A message, and how it was written.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) document: Document,
    /// The bytes, blanks around them included.
    pub(crate) bytes: Vec<u8>,
}

/// Finds the messages of one direction.
#[derive(Debug)]
pub(crate) struct Framer {
    parser: Parser,
    /// What has come of the message that has begun.
    bytes: Vec<u8>,
    /// What has come is no JSON, up to where a message may begin again.
    is_lost: bool,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self {
            // A client may send as much as a server takes; who else is in between is not to refuse it.
            parser: Parser::new(Limits::REPLY),
            bytes: Vec::new(),
            is_lost: false,
        }
    }

    /// Takes bytes, and hands over what they complete.
    pub(crate) fn feed(&mut self, input: &[u8], mut found: impl FnMut(Said)) {
        for (n, part) in input.split(|byte| *byte == RESET).enumerate() {
            if n > 0 {
                self.reset(&mut found);
            }
            self.feed_part(part, &mut found);
        }
    }

    fn feed_part(&mut self, mut input: &[u8], found: &mut impl FnMut(Said)) {
        while !input.is_empty() {
            let before = input;
            let parsed = self.parser.feed(&mut input);
            let taken = &before[..before.len() - input.len()];
            if !self.is_lost {
                self.bytes.extend_from_slice(taken);
            }
            match parsed {
                Parsed::Value => {
                    let bytes = std::mem::take(&mut self.bytes);
                    let document = self.parser.take_document();
                    // Where something was skipped, it is not known which bytes are the message's.
                    let bytes = match std::mem::take(&mut self.is_lost) {
                        true => document.root().to_string().into_bytes(),
                        false => bytes,
                    };
                    found(Said::Message(Message { document, bytes }));
                }
                Parsed::Error(_) => self.lose(found),
                Parsed::Incomplete if !self.parser.is_mid_value() => {
                    // Blanks, or the end of what was skipped.
                    if self.bytes.iter().all(u8::is_ascii_whitespace) {
                        self.bytes.clear();
                    }
                    self.is_lost = false;
                }
                Parsed::Incomplete => {}
            }
        }
    }

    /// Ends the stream: what has begun is no message.
    pub(crate) fn finish(&mut self, mut found: impl FnMut(Said)) {
        self.reset(&mut found);
    }

    fn reset(&mut self, found: &mut impl FnMut(Said)) {
        self.parser.reset();
        if self.bytes.iter().all(u8::is_ascii_whitespace) {
            self.bytes.clear();
        } else {
            self.lose(found);
        }
        self.is_lost = false;
    }

    fn lose(&mut self, found: &mut impl FnMut(Said)) {
        let bytes = std::mem::take(&mut self.bytes);
        // What else is wrong with it is not worth a line.
        if !std::mem::replace(&mut self.is_lost, true) {
            let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
            found(Said::Text(String::from_utf8_lossy(bytes).trim().to_owned()));
        }
    }
}

impl Message {
    /// The message on one line, in JSON that any program reads and a terminal shows: as it was written, but for line ends and
    /// indentation; written anew where it has single quotes, controls, or what is not UTF-8.
    pub(crate) fn line(&self) -> Vec<u8> {
        flatten(&self.bytes).unwrap_or_else(|| self.document.root().to_string().into_bytes())
    }
}

/// A text of JSON on one line; `None` if it has what other parsers or terminals make something else of.
fn flatten(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.trim_ascii();
    let is_bad = |ch: char| !ch.is_ascii() && is_obeyed(ch);
    if !bytes.is_ascii() && std::str::from_utf8(bytes).ok()?.chars().any(is_bad) {
        return None;
    }
    let mut line = Vec::with_capacity(bytes.len());
    let mut is_string = false;
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match (byte, is_string) {
            (b'"', _) => is_string = !is_string,
            (b'\\', true) => {
                let next = rest.next()?;
                // Only QMP's parsers know this one.
                if next == b'\'' {
                    return None;
                }
                line.extend([byte, next]);
                continue;
            }
            (b'\'', false) => return None,
            (b'\n' | b'\r' | b'\t', false) => {
                while rest.next_if(u8::is_ascii_whitespace).is_some() {}
                line.push(b' ');
                continue;
            }
            (0..b' ' | 0x7f, _) => return None,
            _ => {}
        }
        line.push(byte);
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, message by message, in pieces of this size.
    fn found(input: &[u8], size: usize) -> Vec<String> {
        let mut framer = Framer::new();
        let mut all = Vec::new();
        let mut push = |said| {
            all.push(match said {
                Said::Message(message) => String::from_utf8(message.line()).unwrap(),
                Said::Text(text) => format!("no JSON: {text}"),
            });
        };
        for piece in input.chunks(size) {
            framer.feed(piece, &mut push);
        }
        framer.finish(push);
        all
    }

    #[test]
    fn messages_are_found_as_they_were_written() {
        let input = b"{\"a\":1}\r\n {\"b\" : [1,\n    2]}{'c': 'd'}\n{\"e\": \"\\u00e9\xc3\xa9\"}  \xff{\"f\": \"\xe2\x80\xae\"}\n\
                      {\"g\": \"it\\'s 'so'\"} {\"h\": \"it's\"}";
        let expected = [
            r#"{"a":1}"#,
            r#"{"b" : [1, 2]}"#,
            r#"{"c": "d"}"#,
            "{\"e\": \"\\u00e9\u{e9}\"}",
            r#"{"f": "\u202E"}"#,
            r#"{"g": "it's 'so'"}"#,
            r#"{"h": "it's"}"#,
        ];
        for size in 1..input.len() {
            assert_eq!(found(input, size), expected, "{size}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_once() {
        let all = found(b"HTTP/1.1 400 Bad\r\n\r\n{\"a\": 1}\r\n{\"b\": ", 1000);
        assert!(all[0].starts_with("no JSON: H"), "{all:?}");
        assert!(all.contains(&r#"{"a": 1}"#.to_owned()), "{all:?}");
        assert_eq!(all.last().unwrap(), "no JSON: {\"b\":");
        assert_eq!(found(b"\xff\xff \n", 1), [""; 0]);
        // However much comes, little is kept.
        let mut framer = Framer::new();
        let mut n_found = 0;
        framer.feed(b"{]", |_| n_found += 1);
        for _ in 0..100 {
            framer.feed(&[b'['; 1000], |_| n_found += 1);
        }
        assert!(framer.bytes.capacity() < 10_000);
        assert!(n_found > 0);
    }
}
