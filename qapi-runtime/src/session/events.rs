//! Events on the side of the server: their wire form, and how often they may be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::json::{Document, ValueRef, Writer};
use crate::message::EventData;
use crate::visit::{CompatPolicy, Output, VisitError};

/// One event, ready to be sent to any number of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMessage {
    name: Box<str>,
    /// `{"timestamp": ..., "event": ..., "data": ...}` without line end.
    wire: Arc<[u8]>,
}

impl EventMessage {
    /// An event from its parts; `data` is the wire form of an object, if the event has data.
    ///
    /// A clock before 1970 gives the time stamp -1, as the protocol asks for where the time
    /// cannot be told.
    pub fn new(name: &str, data: Option<&[u8]>, time: SystemTime) -> Self {
        let (seconds, microseconds) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (
                i64::try_from(since.as_secs()).unwrap_or(-1),
                i64::from(since.subsec_micros()),
            ),
            Err(_) => (-1, -1),
        };
        let mut writer = Writer::new();
        writer.begin_object();
        writer.key("timestamp");
        writer.begin_object();
        writer.key("seconds");
        writer.int(seconds);
        writer.key("microseconds");
        writer.int(microseconds);
        writer.end_object();
        writer.key("event");
        writer.string(name);
        if let Some(data) = data {
            writer.key("data");
            writer.raw(data);
        }
        writer.end_object();
        Self {
            name: name.into(),
            wire: writer.into_bytes().into(),
        }
    }

    /// A typed event; `None` if the policy hides it.
    ///
    /// # Errors
    ///
    /// Data that no peer can be sent.
    pub fn of<E: EventData>(
        event: &E,
        time: SystemTime,
        compat: CompatPolicy,
    ) -> Result<Option<Self>, VisitError> {
        if compat.hides(E::SPECIAL_FEATURES) {
            return Ok(None);
        }
        if !E::HAS_DATA {
            return Ok(Some(Self::new(E::NAME, None, time)));
        }
        let mut output = Output::with_buffer(Vec::new(), compat, false);
        let mut object = output.object();
        event.write_members(&mut object);
        object.finish()?;
        Ok(Some(Self::new(E::NAME, Some(output.as_bytes()), time)))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The wire form on one line, without its end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.wire
    }
}

/// How long QEMU keeps similar events apart.
pub const EVENT_PERIOD: Duration = Duration::from_secs(1);

/// The events that QEMU limits to one a period, each with the member of its data by which similar ones are told apart.
const LIMITED: [(&str, Option<&str>); 9] = [
    ("BALLOON_CHANGE", None),
    ("BLOCK_IO_ERROR", Some("qom-path")),
    ("HV_BALLOON_STATUS_REPORT", None),
    ("MEMORY_DEVICE_SIZE_CHANGE", Some("qom-path")),
    ("QUORUM_FAILURE", None),
    ("QUORUM_REPORT_BAD", Some("node-name")),
    ("RTC_CHANGE", None),
    ("VSERPORT_CHANGE", Some("id")),
    ("WATCHDOG", None),
];

/// What tells an event apart from others of its name, by a member of its data; `None` if it is never held back.
fn similarity_key(event: &EventMessage, member: &str) -> Option<Box<str>> {
    let message = Document::parse(&event.wire).unwrap_or_default();
    let data = message.root().get("data");
    let text = |member| data?.get(member).and_then(ValueRef::as_str);
    // The one after which the guest is stopped is the one that matters.
    if *event.name == *"BLOCK_IO_ERROR" && text("action") == Some("stop") {
        return None;
    }
    Some(text(member).unwrap_or("").into())
}

/// Keeps similar events a period apart, as QEMU does: the first goes out at once, of those that
/// come during the period the last is sent at its end, the others are dropped.
///
/// One limiter serves all sessions of a server. It does not look at a clock itself.
#[derive(Debug)]
pub struct EventLimiter {
    period: Duration,
    /// Their names, and the members that tell similar ones apart.
    limited: Vec<(Box<str>, Option<Box<str>>)>,
    waiting: BTreeMap<(Box<str>, Box<str>), Waiting>,
    n_admitted: u64,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    /// With its number in the order of all events.
    event: Option<(u64, EventMessage)>,
}

impl Default for EventLimiter {
    /// QEMU's events and QEMU's period.
    fn default() -> Self {
        Self::new(EVENT_PERIOD, LIMITED)
    }
}

impl EventLimiter {
    /// A limiter for events with these names. Those of one name are limited together, or, with the name of a member of
    /// their data, those that have the same text there.
    pub fn new<'n>(
        period: Duration,
        limited: impl IntoIterator<Item = (&'n str, Option<&'n str>)>,
    ) -> Self {
        let limited = limited.into_iter();
        Self {
            period,
            limited: limited
                .map(|(name, member)| (name.into(), member.map(Into::into)))
                .collect(),
            waiting: BTreeMap::new(),
            n_admitted: 0,
        }
    }

    /// Limits events of one more name, as [`new`](Self::new) does.
    #[must_use]
    pub fn and(mut self, name: &str, member: Option<&str>) -> Self {
        self.limited.push((name.into(), member.map(Into::into)));
        self
    }

    /// Takes an event; gives it back if it is to be sent now.
    pub fn admit(&mut self, event: EventMessage, now: Instant) -> Option<EventMessage> {
        let mut limited = self.limited.iter();
        let similar = match limited.find(|(name, _)| *name == event.name) {
            None => return Some(event),
            Some((_, None)) => "".into(),
            Some((_, Some(member))) => match similarity_key(&event, member) {
                None => return Some(event),
                Some(key) => key,
            },
        };
        let key = (event.name.clone(), similar);
        self.n_admitted += 1;
        match self.waiting.get_mut(&key) {
            Some(waiting) => {
                waiting.event = Some((self.n_admitted, event));
                None
            }
            None => {
                let until = now + self.period;
                self.waiting.insert(key, Waiting { until, event: None });
                Some(event)
            }
        }
    }

    /// When [`EventLimiter::due`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// The delayed events whose period is over: those first whose period ended first, and of one point in time those first
    /// that came first.
    pub fn due(&mut self, now: Instant) -> Vec<EventMessage> {
        let period = self.period;
        let mut due = Vec::new();
        self.waiting.retain(|_, waiting| {
            if waiting.until > now {
                return true;
            }
            match waiting.event.take() {
                Some((number, event)) => {
                    due.push((waiting.until, number, event));
                    waiting.until = now + period;
                    true
                }
                None => false,
            }
        });
        due.sort_by_key(|(until, number, _)| (*until, *number));
        due.into_iter().map(|(_, _, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> EventMessage {
        EventMessage::new(
            name,
            Some(data.as_bytes()),
            UNIX_EPOCH + Duration::from_micros(5_000_007),
        )
    }

    #[test]
    fn wire_form() {
        let event = event("STOP", r#"{"a": 1}"#);
        assert_eq!(
            event.as_bytes(),
            br#"{"timestamp": {"seconds": 5, "microseconds": 7}, "event": "STOP", "data": {"a": 1}}"#
        );
    }

    #[test]
    fn an_error_that_stops_the_guest_is_not_held_back() {
        let mut limiter = EventLimiter::default();
        let now = Instant::now();
        let error = |action| {
            let data = format!(r#"{{"qom-path": "/x", "action": "{action}"}}"#);
            event("BLOCK_IO_ERROR", &data)
        };
        assert!(limiter.admit(error("report"), now).is_some());
        assert!(limiter.admit(error("report"), now).is_none());
        assert!(limiter.admit(error("stop"), now).is_some());
    }

    #[test]
    fn the_last_similar_event_is_delayed() {
        let mut limiter = EventLimiter::default();
        let start = Instant::now();
        let port = |id: &str, open: bool| {
            event(
                "VSERPORT_CHANGE",
                &format!(r#"{{"id": "{id}", "open": {open}}}"#),
            )
        };
        assert!(limiter.admit(port("a", true), start).is_some());
        assert!(limiter.admit(port("b", true), start).is_some());
        assert!(limiter.admit(port("a", false), start).is_none());
        assert!(limiter.admit(port("a", true), start).is_none());
        assert!(limiter.admit(event("STOP", "{}"), start).is_some());
        assert!(limiter.admit(event("STOP", "{}"), start).is_some());
        let end = start + EVENT_PERIOD;
        assert_eq!(limiter.deadline(), Some(end));
        assert_eq!(limiter.due(end), [port("a", true)]);
        // The delayed event begins a period of its own.
        assert!(limiter.admit(port("a", false), end).is_none());
        assert!(limiter.admit(port("b", false), end).is_some());
        assert_eq!(limiter.due(end + EVENT_PERIOD), [port("a", false)]);
        assert!(limiter.due(end + EVENT_PERIOD * 2).is_empty());
        assert_eq!(limiter.deadline(), None);
    }

    #[test]
    fn own_events_are_told_apart_by_the_member_that_is_asked_for() {
        let limited = [("ROOM_WARM", Some("room")), ("TICK", None)];
        let mut limiter = EventLimiter::new(EVENT_PERIOD, limited);
        let now = Instant::now();
        let warm = |room: &str| event("ROOM_WARM", &format!(r#"{{"room": "{room}"}}"#));
        assert!(limiter.admit(warm("kitchen"), now).is_some());
        assert!(limiter.admit(warm("hall"), now).is_some());
        assert!(limiter.admit(warm("hall"), now).is_none());
        assert!(limiter.admit(event("TICK", r#"{"id": 1}"#), now).is_some());
        assert!(limiter.admit(event("TICK", r#"{"id": 2}"#), now).is_none());
        // What QEMU limits is nothing special here.
        assert!(limiter.admit(event("WATCHDOG", "{}"), now).is_some());
        assert!(limiter.admit(event("WATCHDOG", "{}"), now).is_some());
    }

    #[test]
    fn events_that_are_due_at_once_keep_their_order() {
        let mut limiter = EventLimiter::default();
        let start = Instant::now();
        let ports: Vec<String> = (0..50)
            .map(|number| (number * 7 % 50).to_string())
            .collect();
        let port = |id: &String| event("VSERPORT_CHANGE", &format!(r#"{{"id": "{id}"}}"#));
        for id in &ports {
            assert!(limiter.admit(port(id), start).is_some());
        }
        for id in ports.iter().rev() {
            assert!(limiter.admit(port(id), start).is_none());
        }
        let expected: Vec<_> = ports.iter().rev().map(port).collect();
        assert_eq!(limiter.due(start + EVENT_PERIOD), expected);
    }
}
