//! The log of a session: what went which way, on which connection, and when.
//!
//! It is what clients record (`ConnectOptions::record`) and mocks play
//! (`Mock::replay`), and what the command `qmp` records between any client and any server, and
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

mod entry;
mod mistake;
mod read;

use std::time::Duration;

pub use self::read::{Entries, entries};
pub use crate::dialect::Dialect;
use crate::json::ParseError;
use crate::value::Value;

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

/// The version of the form.
pub(crate) const VERSION: i64 = 1;

/// The member of the first line.
pub(crate) const FORM: &str = "qmp-session-log";

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
