//! Events on the side of the client.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::{ClientError, ClientErrorKind};
use crate::json::{Document, ValueRef, empty_object};
use crate::message::Event;
use crate::visit::{Input, Mode};

/// An event as it came.
#[derive(Clone, PartialEq)]
pub struct RawEvent {
    message: Document,
}

impl RawEvent {
    /// `None` if the message is not an event.
    pub(super) fn new(message: Document) -> Option<Self> {
        message.root().get("event")?.as_str()?;
        Some(Self { message })
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.message
            .root()
            .get("event")
            .and_then(ValueRef::as_str)
            .unwrap_or("")
    }

    /// The data; an empty object if the event has no data.
    pub fn data(&self) -> ValueRef<'_> {
        self.message.root().get("data").unwrap_or_else(empty_object)
    }

    /// The whole message.
    pub fn message(&self) -> ValueRef<'_> {
        self.message.root()
    }

    /// When the event happened, by the clock of the server; `None` if it could not tell.
    pub fn time(&self) -> Option<SystemTime> {
        let timestamp = self.message.root().get("timestamp")?;
        let seconds = timestamp.get("seconds")?.as_u64()?;
        let microseconds = timestamp.get("microseconds")?.as_u64()?;
        let since =
            Duration::from_secs(seconds).checked_add(Duration::from_micros(microseconds))?;
        UNIX_EPOCH.checked_add(since)
    }

    /// The event as one of the types of a schema; unknown names are kept there.
    ///
    /// # Errors
    ///
    /// Data that does not fit the event.
    pub fn parse<E: Event>(&self) -> Result<E, ClientError> {
        let mut input = Input::at(self.data(), Mode::Lenient, Default::default());
        E::read_event(self.name(), &mut input).map_err(|error| {
            ClientError::new(ClientErrorKind::Reply(error))
                .for_command(self.name())
                .with_received(self.message.clone())
        })
    }
}

impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message.root())
    }
}

/// Which events a listener gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// What passes one of these passes.
    kinds: Vec<Kind>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kind {
    names: Option<Vec<Box<str>>>,
    members: Vec<(Box<str>, Box<str>)>,
}

/// All events.
impl Default for EventFilter {
    fn default() -> Self {
        Self::all()
    }
}

impl EventFilter {
    /// All events.
    pub fn all() -> Self {
        Self {
            kinds: vec![Kind::default()],
        }
    }

    /// The events with these names.
    pub fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let kind = Kind {
            names: Some(names.into_iter().map(Into::into).collect()),
            members: Vec::new(),
        };
        Self { kinds: vec![kind] }
    }

    /// The event with this name.
    pub fn name(name: &str) -> Self {
        Self::names([name])
    }

    /// Only events whose data has the string `value` as its member `member`.
    #[must_use]
    pub fn with_member(mut self, member: &str, value: &str) -> Self {
        for kind in &mut self.kinds {
            kind.members.push((member.into(), value.into()));
        }
        self
    }

    /// These events and those.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.kinds.extend(other.kinds);
        self
    }

    /// Whether an event passes.
    pub fn matches(&self, event: &RawEvent) -> bool {
        self.kinds.iter().any(|kind| kind.matches(event))
    }
}

impl Kind {
    fn matches(&self, event: &RawEvent) -> bool {
        let name_fits = match &self.names {
            None => true,
            Some(names) => names.iter().any(|name| **name == *event.name()),
        };
        name_fits
            && self.members.iter().all(|(member, value)| {
                event.data().get(member).and_then(ValueRef::as_str) == Some(&**value)
            })
    }
}

/// The names that may pass, for people.
impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: Vec<&str> = Vec::new();
        for kind in &self.kinds {
            match &kind.names {
                None => return f.write_str("any event"),
                Some(names) => shown.extend(names.iter().map(|name| &**name)),
            }
        }
        f.write_str(&shown.join(" or "))
    }
}
