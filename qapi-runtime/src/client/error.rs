//! What can go wrong between a client and its server.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::late::{LateReply, Outcome};
use super::lifeline::LifelineState;
use super::reason::Reason;
use super::silence::Silence;
use crate::error::Error;
use crate::introspection::UnknownPath;
use crate::json::{Document, ValueRef};
use crate::value::Value;
use crate::visit::{Segment, VisitError};

/// Why a request has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The connection could not be made, or failed.
    Io(io::Error),
    /// The server closed the connection, or is gone.
    Closed,
    /// No connection, answer or event in this time. A command may still be executed: [`ClientError::outcome`] tells what is
    /// known of it, also later.
    TimedOut(Duration),
    /// The server answered with an error.
    Server(Error),
    /// The reply does not fit the type of the result.
    Reply(VisitError),
    /// The arguments cannot be sent.
    Request(VisitError),
    /// What the server sent is not QMP.
    Protocol(String),
    /// The server does not know the command or something in its arguments, and is not sent it:
    /// [`ConnectOptions::refuse_unknown`](super::ConnectOptions::refuse_unknown).
    NotKnown(UnknownPath),
    /// A plan cannot execute the command, since it was not told what undoes it.
    NoUndo,
    /// Whether what the command makes is there already cannot be told.
    NoQuery,
    /// The command was to be executed out of band, which the server did not offer or the client
    /// did not ask for.
    OobNotEnabled,
}

/// A failed request, or a failed connection.
///
/// `Display` is one line, which names the server where the connection to it is what the error is about. `Debug` adds the
/// server, what was sent, what came, and where the two differ from what was expected; both are cut at 4 KiB.
pub struct ClientError(Box<Inner>);

struct Inner {
    kind: ClientErrorKind,
    command: Option<Box<str>>,
    sent: Option<Box<[u8]>>,
    received: Option<Document>,
    awaited: Awaited,
    /// The address of the server.
    peer: Option<Arc<str>>,
    /// What else is known, in words.
    note: Option<Box<str>>,
    /// Whether the server got all of the request.
    was_sent: bool,
    silence: Silence,
    process: Option<u32>,
    late: Option<LateReply>,
}

/// What did not come, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The connection itself.
    Accepting,
    Greeting,
    /// The answer to `qmp_capabilities`.
    Negotiation,
    /// The answer to `guest-sync-delimited`.
    Synchronization,
    Answer,
    /// Room for the request among those that have no answer yet.
    Room,
    Event,
    /// The connection that was to be made again.
    Connection,
}

impl Awaited {
    /// Whether there is no connection to be used yet.
    fn is_connecting(self) -> bool {
        match self {
            Self::Accepting | Self::Greeting | Self::Negotiation | Self::Synchronization => true,
            Self::Answer | Self::Room | Self::Event | Self::Connection => false,
        }
    }
}

impl ClientError {
    pub(super) fn new(kind: ClientErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            command: None,
            sent: None,
            received: None,
            awaited: Awaited::Answer,
            peer: None,
            note: None,
            was_sent: false,
            silence: Silence::Unknown,
            process: None,
            late: None,
        }))
    }

    /// Names the server.
    pub(super) fn of_peer(mut self, peer: &Arc<str>) -> Self {
        self.0.peer = Some(Arc::clone(peer));
        self
    }

    /// The request went out; its answer may still come.
    pub(super) fn after_sending(mut self, late: Option<LateReply>) -> Self {
        self.0.was_sent = true;
        self.0.late = late;
        self
    }

    /// Adds what else is known, if it is.
    pub(super) fn with_note(mut self, note: Option<String>) -> Self {
        self.0.note = note.map(Into::into);
        self
    }

    /// Adds what the kernel tells.
    pub(super) fn with_silence(mut self, silence: Silence) -> Self {
        self.0.silence = silence;
        self
    }

    pub(super) fn of_process(mut self, process: Option<u32>) -> Self {
        self.0.process = process;
        self
    }

    pub(super) fn silence(&self) -> Silence {
        self.0.silence
    }

    pub(super) fn awaiting(mut self, awaited: Awaited) -> Self {
        self.0.awaited = awaited;
        self
    }

    pub(super) fn for_command(mut self, command: &str) -> Self {
        self.0.command = Some(command.into());
        self
    }

    pub(super) fn with_sent(mut self, sent: &[u8]) -> Self {
        self.0.sent = Some(sent.into());
        self
    }

    pub(super) fn with_received(mut self, received: Document) -> Self {
        self.0.received = Some(received);
        self
    }

    /// Why.
    pub fn kind(&self) -> &ClientErrorKind {
        &self.0.kind
    }

    /// The address of the server, if there is one.
    pub fn peer(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    /// The process of a server that did not greet in time, as the kernel tells it of a unix socket.
    pub fn peer_process(&self) -> Option<u32> {
        self.0.process
    }

    /// The command, if the error is about one.
    pub fn command(&self) -> Option<&str> {
        self.0.command.as_deref()
    }

    /// The error that the server answered with, if it did.
    pub fn server_error(&self) -> Option<&Error> {
        match &self.0.kind {
            ClientErrorKind::Server(error) => Some(error),
            _ => None,
        }
    }

    /// Why the server refused the command, where its text is one of those that are known.
    pub fn reason(&self) -> Option<Reason> {
        self.server_error().and_then(Reason::of)
    }

    /// How the server is, by this error. `None` if it says nothing of that: what speaks no QMP is no server, and what was not
    /// sent was not asked.
    pub fn lifeline(&self) -> Option<LifelineState> {
        Some(match (&self.0.kind, self.0.awaited) {
            (ClientErrorKind::Server(_) | ClientErrorKind::Reply(_), _) => LifelineState::Alive,
            (ClientErrorKind::Io(_) | ClientErrorKind::Closed, _)
            | (ClientErrorKind::TimedOut(_), Awaited::Connection) => LifelineState::Gone,
            (ClientErrorKind::TimedOut(_), Awaited::Event)
            | (
                ClientErrorKind::Request(_)
                | ClientErrorKind::Protocol(_)
                | ClientErrorKind::NotKnown(_)
                | ClientErrorKind::NoUndo
                | ClientErrorKind::NoQuery
                | ClientErrorKind::OobNotEnabled,
                _,
            ) => return None,
            (
                ClientErrorKind::TimedOut(_),
                Awaited::Accepting
                | Awaited::Greeting
                | Awaited::Negotiation
                | Awaited::Synchronization
                | Awaited::Answer
                | Awaited::Room,
            ) => match self.0.silence {
                Silence::ServesAnother => LifelineState::Busy,
                Silence::Stopped | Silence::Unknown => LifelineState::Silent,
            },
        })
    }

    /// What became of the command, as far as it is known by now. An error that is about no command is one of something that
    /// was not sent.
    pub fn outcome(&self) -> Outcome {
        match &self.0.kind {
            ClientErrorKind::Server(error) => Outcome::Refused(error.clone()),
            ClientErrorKind::Reply(_) => {
                let returned = self
                    .0
                    .received
                    .as_ref()
                    .and_then(|it| it.root().get("return"));
                Outcome::Done(returned.map_or(Value::Null, ValueRef::to_value))
            }
            _ if !self.0.was_sent => Outcome::NotSent,
            ClientErrorKind::TimedOut(_) => self.late_or(Outcome::Unknown),
            ClientErrorKind::Io(_)
            | ClientErrorKind::Closed
            | ClientErrorKind::Request(_)
            | ClientErrorKind::Protocol(_)
            | ClientErrorKind::NotKnown(_)
            | ClientErrorKind::NoUndo
            | ClientErrorKind::NoQuery
            | ClientErrorKind::OobNotEnabled => self.late_or(Outcome::ConnectionLost),
        }
    }

    /// What the reply says, if it is there.
    fn late_or(&self, outcome: Outcome) -> Outcome {
        self.0.late.as_ref().map_or(outcome, LateReply::outcome)
    }

    /// The answer that may still come, if the command has no answer yet; the one that has come, if something else has not.
    pub fn late_reply(&self) -> Option<&LateReply> {
        self.0.late.as_ref()
    }

    /// The part of the reply that does not fit, as far as the path leads into it.
    fn differing_part(&self) -> Option<String> {
        let ClientErrorKind::Reply(error) = &self.0.kind else {
            return None;
        };
        let mut value = self.0.received.as_ref()?.root().get("return")?;
        for segment in error.path() {
            let next = match segment {
                Segment::Member(name) => value.get(name),
                Segment::Index(index) => value.elements().nth(*index),
            };
            match next {
                Some(next) => value = next,
                None => break,
            }
        }
        Some(format!("{} in {value}", error.detail()))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            command,
            awaited,
            peer,
            note,
            sent: _,
            received: _,
            was_sent: _,
            silence: _,
            process: _,
            late: _,
        } = &*self.0;
        if awaited.is_connecting()
            && let Some(peer) = peer
        {
            write!(f, "cannot connect to '{peer}': ")?;
        }
        if let Some(command) = command {
            write!(f, "{command}: ")?;
        }
        // Where there is no connection yet, the server is named already.
        let peer = peer.as_deref().filter(|_| !awaited.is_connecting());
        let named =
            |before: &str| peer.map_or_else(String::new, |peer| format!("{before}'{peer}'"));
        match kind {
            ClientErrorKind::Io(error) => match peer {
                Some(peer) => write!(f, "'{peer}': {error}")?,
                None => error.fmt(f)?,
            },
            ClientErrorKind::Closed => {
                let when = match awaited {
                    Awaited::Greeting => " before it greeted",
                    Awaited::Negotiation => " before it answered qmp_capabilities",
                    Awaited::Synchronization => " before it answered guest-sync-delimited",
                    Awaited::Accepting
                    | Awaited::Answer
                    | Awaited::Room
                    | Awaited::Event
                    | Awaited::Connection => "",
                };
                write!(f, "the server{} closed the connection{when}", named(" at "))?;
            }
            ClientErrorKind::TimedOut(after) => {
                let what = match awaited {
                    Awaited::Accepting => "nobody accepts".to_owned(),
                    Awaited::Greeting => "no greeting".to_owned(),
                    Awaited::Negotiation => "no answer to qmp_capabilities".to_owned(),
                    Awaited::Synchronization => "no answer to guest-sync-delimited".to_owned(),
                    Awaited::Answer => format!("no answer{}", named(" from ")),
                    Awaited::Room => format!(
                        "not sent, as earlier commands have no answer{}",
                        named(" from ")
                    ),
                    Awaited::Event => format!("no event{}", named(" from ")),
                    Awaited::Connection => {
                        format!("the connection{} is lost, and no new one", named(" to "))
                    }
                };
                write!(f, "{what} in {after:?}")?;
            }
            ClientErrorKind::Server(error) => write!(f, "{} ({})", error.desc, error.class)?,
            ClientErrorKind::Reply(error) => f.write_str(&error.detail())?,
            ClientErrorKind::Request(error) => error.fmt(f)?,
            ClientErrorKind::Protocol(text) => match peer {
                Some(peer) => write!(f, "what '{peer}' sent is not QMP: {text}")?,
                None => f.write_str(text)?,
            },
            ClientErrorKind::NotKnown(error) => error.fmt(f)?,
            ClientErrorKind::NoUndo => f.write_str("what undoes it is not known")?,
            ClientErrorKind::NoQuery => {
                f.write_str("no query tells whether that is there already")?;
            }
            ClientErrorKind::OobNotEnabled => {
                f.write_str("execution out of band is not enabled on this connection")?;
            }
        }
        match note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// Bytes of a message that `Debug` shows.
const SHOWN: usize = 4096;

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(peer) = &self.0.peer {
            write!(f, "\n  server:   {peer}")?;
        }
        if let Some(sent) = &self.0.sent {
            write!(f, "\n  sent:     {}", cut(&String::from_utf8_lossy(sent)))?;
        }
        if let Some(received) = &self.0.received {
            write!(f, "\n  received: {}", cut(&received.root().to_string()))?;
        }
        if let Some(part) = self.differing_part() {
            write!(f, "\n  differs:  {}", cut(&part))?;
        }
        Ok(())
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ClientErrorKind::Io(error) => Some(error),
            ClientErrorKind::Server(error) => Some(error),
            ClientErrorKind::Reply(error) | ClientErrorKind::Request(error) => Some(error),
            ClientErrorKind::NotKnown(error) => Some(error),
            ClientErrorKind::Closed
            | ClientErrorKind::TimedOut(_)
            | ClientErrorKind::Protocol(_)
            | ClientErrorKind::NoUndo
            | ClientErrorKind::NoQuery
            | ClientErrorKind::OobNotEnabled => None,
        }
    }
}

impl ClientErrorKind {
    /// Why a request could not be written: [`Closed`](Self::Closed) if that is the end of the
    /// connection, which serves no further request then.
    pub(super) fn not_written(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::new(ClientErrorKind::Io(error))
    }
}
