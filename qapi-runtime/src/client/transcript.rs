//! The log of a session: what went which way, on which connection, and when.
//!
//! It is what clients record ([`ConnectOptions::record`](super::ConnectOptions::record)) and mocks play
//! ([`Mock::replay`](super::mock::Mock::replay)), and what the command `qmp` records between any client and any server, and
//! replays.
//!
//! # The form, version 1
//!
//! A text of lines, each of which is a JSON object. The first one has the version, `{"qmp-session-log": 1}`. Every other one has
//!
//! - `connection`, the number of the connection, from 1 on in the order in which connections were made;
//! - `at`, microseconds since the beginning of the log;
//! - and one of
//!   - `opened`: the address of the peer, with `dialect`, which is `qmp` or `guest-agent`;
//!   - `sent`: a message of the client, as it was sent;
//!   - `received`: a message of the server, as it came;
//!   - `closed`: who has ended the connection, `client` or `server`;
//! - beside a message, where there is a reason,
//!   - `descriptors`, how many descriptors travelled with it;
//!   - `masked`, the members that were secrets, by their ways in the message, as `arguments.password`; their values are `"***"`.
//!
//! ```text
//! {"qmp-session-log": 1}
//! {"connection": 1, "at": 0, "opened": "unix:/run/vm.qmp", "dialect": "qmp"}
//! {"connection": 1, "at": 93, "received": {"QMP": {"version": {}, "capabilities": ["oob"]}}}
//! {"connection": 1, "at": 120, "sent": {"execute": "qmp_capabilities", "id": "negotiation"}}
//! {"connection": 1, "at": 155, "received": {"return": {}, "id": "negotiation"}}
//! {"connection": 1, "at": 731, "closed": "server"}
//! {"connection": 2, "at": 20933, "opened": "unix:/run/vm.qmp", "dialect": "qmp"}
//! ```
//!
//! Messages are in the order in which the client sent and took them. Lines that say nothing of these, members that are not
//! listed here, and blank lines are passed over, so that later versions may say more without being another form.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dialect::Dialect;
use crate::json::{Document, Kind, ParseError, ValueRef};
use crate::value::{Object, Value};

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Recorded {
    /// It was made.
    Opened {
        /// The address of the server.
        peer: String,
        /// What it speaks.
        dialect: Dialect,
    },
    /// A message from the client.
    Sent(Value),
    /// A message from the server.
    Received(Value),
    /// It is over.
    Closed(Ended),
}

/// Who has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client.
    ByClient,
    /// The server, or whatever is between.
    ByServer,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The number of the connection, from 1 on.
    pub connection: u64,
    /// Since the beginning of the log.
    pub at: Duration,
    /// What happened.
    pub what: Recorded,
    /// How many descriptors travelled with the message.
    pub descriptors: u64,
    /// The members of the message that are masked, by their ways: names and places in lists, with dots between.
    pub masked: Vec<String>,
    /// The number of the line, from 1 on.
    pub line: usize,
}

/// A log in the making; shared by clients and the program that wants to keep it. The [module](self) describes its text.
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

/// The version of the form.
const VERSION: i64 = 1;

/// The member of the first line.
const FORM: &str = "qmp-session-log";

/// A text that is not a log, or not one of this version.
#[derive(Debug)]
pub struct TranscriptError {
    line: usize,
    kind: TranscriptErrorKind,
}

#[derive(Debug)]
enum TranscriptErrorKind {
    NotJson(ParseError),
    /// The last line, without its end.
    Cut(ParseError),
    NotALog,
    OtherVersion(String),
    BadMember(&'static str),
}

impl TranscriptError {
    /// The number of the line, from 1 on.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            TranscriptErrorKind::NotJson(error) => write!(f, "{error}"),
            TranscriptErrorKind::Cut(error) => write!(f, "the log is cut off here: {error}"),
            TranscriptErrorKind::NotALog => {
                write!(
                    f,
                    "not a session log, which begins with {{\"{FORM}\": {VERSION}}}"
                )
            }
            TranscriptErrorKind::OtherVersion(version) => write!(
                f,
                "a session log of version {version}, while only version {VERSION} is known"
            ),
            TranscriptErrorKind::BadMember(name) => write!(f, "'{name}' is not what it should be"),
        }
    }
}

impl std::error::Error for TranscriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            TranscriptErrorKind::NotJson(error) | TranscriptErrorKind::Cut(error) => Some(error),
            TranscriptErrorKind::NotALog
            | TranscriptErrorKind::OtherVersion(_)
            | TranscriptErrorKind::BadMember(_) => None,
        }
    }
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
        let mut is_log = false;
        let mut log = Log::default();
        let n_lines = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let is_cut = index + 1 == n_lines && !text.ends_with('\n');
            let failed = |kind| TranscriptError {
                line: index + 1,
                kind,
            };
            let line = Document::parse(line.as_bytes());
            let line = line.map_err(|error| match is_cut {
                true => failed(TranscriptErrorKind::Cut(error)),
                false => failed(TranscriptErrorKind::NotJson(error)),
            })?;
            if is_log {
                let entry = Entry::from_line(line.root(), index + 1);
                let entry = entry.map_err(|name| failed(TranscriptErrorKind::BadMember(name)))?;
                if let Some(entry) = entry {
                    log.n_connections = log.n_connections.max(entry.connection);
                    log.entries.push(entry);
                }
                continue;
            }
            match line.root().get(FORM) {
                Some(version) if version.as_i64() == Some(VERSION) => is_log = true,
                Some(version) => {
                    let version = version.to_string();
                    return Err(failed(TranscriptErrorKind::OtherVersion(version)));
                }
                None => return Err(failed(TranscriptErrorKind::NotALog)),
            }
        }
        if !is_log {
            return Err(TranscriptError {
                line: 1,
                kind: TranscriptErrorKind::NotALog,
            });
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

const QMP: &str = "qmp";
const GUEST_AGENT: &str = "guest-agent";
const CLIENT: &str = "client";
const SERVER: &str = "server";

impl Entry {
    fn to_line(&self) -> Value {
        let number = |name: &str, number: u128| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            (name.to_owned(), Value::Int(number))
        };
        let mut line = Object::from_iter([
            number("connection", self.connection.into()),
            number("at", self.at.as_micros()),
        ]);
        let (name, value) = match &self.what {
            Recorded::Opened { peer, .. } => ("opened", Value::from(peer.as_str())),
            Recorded::Sent(message) => ("sent", message.clone()),
            Recorded::Received(message) => ("received", message.clone()),
            Recorded::Closed(Ended::ByClient) => ("closed", Value::from(CLIENT)),
            Recorded::Closed(Ended::ByServer) => ("closed", Value::from(SERVER)),
        };
        line.insert(name.to_owned(), value);
        if self.descriptors > 0 {
            let (name, value) = number("descriptors", self.descriptors.into());
            line.insert(name, value);
        }
        if !self.masked.is_empty() {
            let masked = self.masked.iter().map(|way| Value::from(way.as_str()));
            line.insert("masked".to_owned(), masked.collect());
        }
        if let Recorded::Opened { dialect, .. } = self.what {
            let dialect = match dialect {
                Dialect::Qmp => QMP,
                Dialect::GuestAgent => GUEST_AGENT,
            };
            line.insert("dialect".to_owned(), Value::from(dialect));
        }
        Value::Object(line)
    }

    /// Nothing if the line has nothing that is known; the name of a member that is wrong.
    fn from_line(line: ValueRef<'_>, number_of_line: usize) -> Result<Option<Self>, &'static str> {
        let what = if let Some(peer) = line.get("opened") {
            Recorded::Opened {
                peer: peer.as_str().ok_or("opened")?.to_owned(),
                dialect: match line.get("dialect").and_then(ValueRef::as_str) {
                    Some(QMP) | None => Dialect::Qmp,
                    Some(GUEST_AGENT) => Dialect::GuestAgent,
                    Some(_) => return Err("dialect"),
                },
            }
        } else if let Some(message) = line.get("sent") {
            Recorded::Sent(message.to_value())
        } else if let Some(message) = line.get("received") {
            Recorded::Received(message.to_value())
        } else if let Some(who) = line.get("closed") {
            Recorded::Closed(match who.as_str() {
                Some(CLIENT) => Ended::ByClient,
                Some(SERVER) => Ended::ByServer,
                _ => return Err("closed"),
            })
        } else {
            return Ok(None);
        };
        let number = |name: &'static str| line.get(name).map(|it| it.as_u64().ok_or(name));
        Ok(Some(Self {
            connection: number("connection").ok_or("connection")??,
            at: Duration::from_micros(number("at").unwrap_or(Ok(0))?),
            what,
            descriptors: number("descriptors").unwrap_or(Ok(0))?,
            masked: match line.get("masked") {
                Some(ways) if ways.kind() == Kind::Array => {
                    let ways = ways.elements().map(|way| way.as_str().map(str::to_owned));
                    ways.collect::<Option<_>>().ok_or("masked")?
                }
                Some(_) => return Err("masked"),
                None => Vec::new(),
            },
            line: number_of_line,
        }))
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
