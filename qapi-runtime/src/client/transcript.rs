//! Logs of sessions, which clients write and mocks play.
//!
//! [`ConnectOptions::record`](super::ConnectOptions::record) records, [`Mock::replay`](super::mock::Mock::replay) plays.
//! [`crate::transcript`] describes the form.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dialect::Dialect;
use crate::json::{Document, ValueRef};
use crate::transcript::{Ended, Entry, FORM, Recorded, TranscriptError, VERSION, entries};
use crate::value::Value;

/// A log in the making; shared by clients and the program that wants to keep it. [`crate::transcript`] describes its text.
#[derive(Debug)]
pub struct Transcript {
    start: Instant,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    n_connections: u64,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            log: Mutex::default(),
        }
    }
}

impl Transcript {
    /// An empty log, which begins now.
    pub fn new() -> Self {
        Self::default()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // What is locked here is never left half done.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What records one connection.
    pub(super) fn recorder(self: Arc<Self>, dialect: Dialect, peer: &str) -> Recorder {
        Recorder {
            transcript: self,
            number: None,
            dialect,
            peer: peer.into(),
        }
    }

    /// What happened so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.log().entries.clone()
    }

    /// The messages so far, of all connections.
    pub fn messages(&self) -> Vec<Recorded> {
        let is_message = |entry: &&Entry| match entry.what {
            Recorded::Sent(_) | Recorded::Received(_) => true,
            Recorded::Opened { .. } | Recorded::Closed(_) => false,
        };
        let log = self.log();
        let messages = log.entries.iter().filter(is_message);
        messages.map(|entry| entry.what.clone()).collect()
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let form = Value::from_iter([(FORM.to_owned(), Value::Int(VERSION))]);
        let mut text = format!("{form}\n");
        for entry in &self.log().entries {
            text.push_str(&entry.to_line().to_string());
            text.push('\n');
        }
        text
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// The line that is not JSON or not of this form, or that the first one is missing.
    pub fn parse(text: &str) -> Result<Self, TranscriptError> {
        let mut log = Log::default();
        for entry in entries(text) {
            let entry = entry?;
            log.n_connections = log.n_connections.max(entry.connection);
            log.entries.push(entry);
        }
        Ok(Self {
            start: Instant::now(),
            log: Mutex::new(log),
        })
    }

    /// Writes the text form to a file.
    ///
    /// # Errors
    ///
    /// What writing the file refuses.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.to_text())
    }
}

/// Records one connection.
#[derive(Debug)]
pub(super) struct Recorder {
    transcript: Arc<Transcript>,
    /// It has one from the first message on.
    number: Option<u64>,
    dialect: Dialect,
    peer: Box<str>,
}

impl Recorder {
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        // What is not JSON is the byte that resets a parser.
        if let Ok(message) = Document::parse(bytes.strip_prefix(&[0xff]).unwrap_or(bytes)) {
            self.push(Recorded::Sent(message.root().to_value()));
        }
    }

    pub(super) fn received(&mut self, message: ValueRef<'_>) {
        self.push(Recorded::Received(message.to_value()));
    }

    pub(super) fn closed(self, by: Ended) {
        if let Some(number) = self.number {
            let at = self.transcript.start.elapsed();
            self.transcript.log().push(number, at, Recorded::Closed(by));
        }
    }

    fn push(&mut self, what: Recorded) {
        let mut log = self.transcript.log();
        let at = self.transcript.start.elapsed();
        let number = match self.number {
            Some(number) => number,
            None => {
                log.n_connections += 1;
                let number = log.n_connections;
                self.number = Some(number);
                let opened = Recorded::Opened {
                    peer: self.peer.to_string(),
                    dialect: self.dialect,
                };
                log.push(number, at, opened);
                number
            }
        };
        log.push(number, at, what);
    }
}

impl Log {
    fn push(&mut self, connection: u64, at: Duration, what: Recorded) {
        self.entries.push(Entry {
            connection,
            at,
            what,
            descriptors: 0,
            masked: Vec::new(),
            // Behind the line with the version.
            line: self.entries.len() + 2,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"qmp-session-log": 1}
{"connection": 1, "at": 0, "opened": "unix:/x", "dialect": "guest-agent"}
{"connection": 1, "at": 5, "sent": {"execute": "guest-ping"}, "descriptors": 1}
{"connection": 1, "at": 6, "received": {"return": {"key": "***"}}, "masked": ["return.key"]}
{"connection": 1, "at": 7, "closed": "server"}
{"connection": 2, "at": 8, "opened": "unix:/x", "dialect": "qmp"}
{"connection": 2, "at": 9, "closed": "client"}
"#;

    #[test]
    fn a_log_is_read_as_it_is_written() {
        let log = Transcript::parse(TEXT).unwrap();
        assert_eq!(log.to_text(), TEXT);
        assert_eq!(log.entries().len(), 6);
        assert_eq!(log.messages().len(), 2);
        // What is added later takes another number.
        let log = Arc::new(log);
        let mut recorder = Arc::clone(&log).recorder(Dialect::Qmp, "y");
        recorder.sent(b"\xff{}");
        assert_eq!(log.entries().last().unwrap().connection, 3);
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let lines = [
            r#"{"qmp-session-log": 1, "made-by": "x"}"#,
            "",
            r#"{"connection": 1, "note": "x"}"#,
            r#"{"connection": 1, "at": 1, "sent": {}, "signed": true}"#,
        ];
        let log = Transcript::parse(&lines.join("\n")).unwrap();
        assert_eq!(log.entries().len(), 1);
        assert_eq!(log.entries()[0].line, 4);
    }

    #[test]
    fn texts_that_are_no_logs() {
        let cut = &TEXT[..TEXT.len() - 5];
        let form = "{\"qmp-session-log\": 1}\n";
        for (text, expected) in [
            (
                "",
                "line 1: not a session log, which begins with {\"qmp-session-log\": 1}",
            ),
            (
                "{\"sent\": {}}",
                "line 1: not a session log, which begins with {\"qmp-session-log\": 1}",
            ),
            (
                "{\"qmp-session-log\": 2}",
                "line 1: a session log of version 2, while only version 1 is known",
            ),
            (
                &format!("{form}{{\"sent\": {{}}}}"),
                "line 2: 'connection' is not what it should be",
            ),
            (
                &format!("{form}\n{{\"connection\": 1, \"closed\": \"me\"}}"),
                "line 3: 'closed' is not what it should be",
            ),
            (
                &format!("{form}{{\"connection\": 1, \"sent\": {{}}, \"masked\": [1]}}"),
                "line 2: 'masked' is not what it should be",
            ),
            (
                &format!("{form}{{\"connection\": 1, \"sent\": {{\"execute\""),
                "line 2: the log is cut off here: 1:37: JSON parse error, premature end of input",
            ),
        ] {
            let error = Transcript::parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        assert_eq!(Transcript::parse(cut).unwrap_err().line(), 7);
    }
}
