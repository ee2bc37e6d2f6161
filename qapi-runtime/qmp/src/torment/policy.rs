//! One client that is tormented.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qapi_runtime::Value;
use qapi_runtime::json::ValueRef;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::{Profile, Shared};
use crate::wire::framing::{Framer, Message, Said};
use crate::wire::relay::Ends;
use crate::wire::{Policy, Who};

/// Behind each byte that comes by itself.
const TRICKLE: Duration = Duration::from_millis(1);

/// How long a reply waits for another one to change places with.
const SWAP: Duration = Duration::from_secs(1);

/// The size of a large reply.
const LARGE: usize = 10 << 20;

/// A command without a reply.
struct Asked {
    id: Option<String>,
    is_negotiation: bool,
}

/// What a message of the server is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The greeting, an event, what nobody has asked for.
    Other,
    Negotiated,
    Reply,
}

/// Does to what the server says what the profile is.
pub(super) struct Tormentor {
    shared: Arc<Shared>,
    /// From 0 on.
    connection: usize,
    from_client: Framer,
    from_server: Framer,
    asked: VecDeque<Asked>,
    n_replies: usize,
    n_events: u64,
    /// Messages that are late, in their order, with their times.
    late: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes that trickle.
    trickling: VecDeque<u8>,
    /// The reply that another one is to overtake.
    overtaken: Option<(Instant, Vec<u8>)>,
    /// The server has ended; the client is told when it has got the rest.
    is_ending: bool,
}

impl Tormentor {
    pub(super) fn new(shared: Arc<Shared>, connection: usize) -> Self {
        Self {
            shared,
            connection,
            from_client: Framer::new(),
            from_server: Framer::new(),
            asked: VecDeque::new(),
            n_replies: 0,
            n_events: 0,
            late: VecDeque::new(),
            trickling: VecDeque::new(),
            overtaken: None,
            is_ending: false,
        }
    }

    fn is_first_of_two(&self) -> bool {
        self.connection.is_multiple_of(2)
    }

    fn hear_client(&mut self, message: &Message) {
        let root = message.document.root();
        let name = root.get("execute").or_else(|| root.get("exec-oob"));
        let name = name.and_then(ValueRef::as_str).unwrap_or_default();
        *self.shared.heard().entry(name.to_owned()).or_default() += 1;
        self.asked.push_back(Asked {
            id: root.get("id").map(|id| id.to_string()),
            is_negotiation: name == "qmp_capabilities",
        });
    }

    fn kind(&mut self, message: ValueRef<'_>) -> Kind {
        if message.get("return").is_none() && message.get("error").is_none() {
            return Kind::Other;
        }
        let id = message.get("id").map(|id| id.to_string());
        let place = self.asked.iter().position(|it| id.is_none() || it.id == id);
        match place.and_then(|place| self.asked.remove(place)) {
            Some(asked) if asked.is_negotiation => Kind::Negotiated,
            Some(_) => {
                self.n_replies += 1;
                Kind::Reply
            }
            None => Kind::Other,
        }
    }

    fn hear_server(&mut self, message: &Message, ends: &mut Ends) {
        let root = message.document.root();
        let kind = self.kind(root);
        let mut bytes = message.bytes.trim_ascii().to_vec();
        bytes.extend_from_slice(b"\r\n");
        let is_reply = kind == Kind::Reply;
        let is_first_reply = is_reply && self.n_replies == 1;
        match self.shared.profile {
            Profile::LateReplies if is_reply => {
                self.late
                    .push_back((Instant::now() + self.shared.delay, bytes));
            }
            // What comes behind a late one comes later.
            Profile::LateReplies if !self.late.is_empty() => {
                self.late.push_back((Instant::now(), bytes));
            }
            Profile::EventBeforeReply if is_reply => {
                let event = self.event();
                ends.client.send(&event, Vec::new());
                ends.client.send(&bytes, Vec::new());
            }
            Profile::DuplicateAfterRetry if is_first_reply && self.is_first_of_two() => {
                ends.close()
            }
            Profile::Silence if self.is_first_of_two() || is_reply => {}
            Profile::Trickle => self.trickling.extend(bytes),
            Profile::LargeReply if is_first_reply => {
                ends.client.send(&enlarged(root, &bytes), Vec::new());
            }
            Profile::EndInTheMiddle if is_first_reply && self.is_first_of_two() => {
                ends.client.send(&bytes[..bytes.len() / 2], Vec::new());
                ends.client.end();
                if let Some(server) = &mut ends.server {
                    server.close();
                }
            }
            Profile::RefusedNegotiation if kind == Kind::Negotiated => {
                ends.client.send(&refusal(root), Vec::new());
            }
            Profile::IdsReordered if is_reply => match self.overtaken.take() {
                Some((_, first)) => {
                    ends.client.send(&bytes, Vec::new());
                    ends.client.send(&first, Vec::new());
                }
                None => self.overtaken = Some((Instant::now() + SWAP, bytes)),
            },
            Profile::LateReplies
            | Profile::EventBeforeGreeting
            | Profile::EventBeforeReply
            | Profile::DuplicateAfterRetry
            | Profile::Silence
            | Profile::LargeReply
            | Profile::EndInTheMiddle
            | Profile::RefusedNegotiation
            | Profile::IdsReordered => ends.client.send(&bytes, Vec::new()),
        }
    }

    /// An event that QEMU has, with a number.
    fn event(&mut self) -> Vec<u8> {
        self.n_events += 1;
        let n = self.n_events;
        let time = r#"{"seconds": 1, "microseconds": 0}"#;
        let data = format!(r#"{{"offset": {n}, "qom-path": "/machine/rtc"}}"#);
        format!("{{\"timestamp\": {time}, \"event\": \"RTC_CHANGE\", \"data\": {data}}}\r\n")
            .into_bytes()
    }

    /// Whether the client has got all that it is to get.
    fn is_done(&self) -> bool {
        self.late.is_empty() && self.trickling.is_empty() && self.overtaken.is_none()
    }

    /// Sends what is late and due; gives the time of the next one.
    fn send_late(&mut self, now: Instant, ends: &mut Ends) -> Option<Instant> {
        if self.shared.is_held() {
            return None;
        }
        while let Some((due, bytes)) = self.late.front() {
            if *due > now && self.shared.gate.is_none() {
                return Some(*due);
            }
            ends.client.send(bytes, Vec::new());
            self.late.pop_front();
        }
        None
    }
}

impl Policy for Tormentor {
    fn begin(&mut self, ends: &mut Ends) {
        if self.shared.profile == Profile::EventBeforeGreeting {
            let event = self.event();
            ends.client.send(&event, Vec::new());
        }
    }

    fn hear(&mut self, who: Who, bytes: &[u8], descriptors: Vec<OwnedFd>, ends: &mut Ends) {
        let mut found = Vec::new();
        match who {
            Who::Client => {
                self.from_client.feed(bytes, |said| found.push(said));
                for said in found {
                    if let Said::Message(message) = said {
                        self.hear_client(&message);
                    }
                }
                if let Some(server) = &mut ends.server {
                    server.send(bytes, descriptors);
                }
            }
            Who::Server => {
                self.from_server.feed(bytes, |said| found.push(said));
                for said in found {
                    match said {
                        Said::Message(message) => self.hear_server(&message, ends),
                        // Whatever it is, it is bad enough.
                        Said::Text(text) => ends.client.send(text.as_bytes(), Vec::new()),
                    }
                }
            }
        }
    }

    fn end(&mut self, who: Who, ends: &mut Ends) {
        match who {
            Who::Client => {
                if let Some(server) = &mut ends.server {
                    server.end();
                }
            }
            // A server that is silent does not end either.
            Who::Server if self.is_done() => ends.client.end(),
            Who::Server => self.is_ending = true,
        }
    }

    fn wake(&mut self, now: Instant, ends: &mut Ends) -> Option<Instant> {
        let mut next = self.send_late(now, ends);
        if let Some(byte) = self.trickling.pop_front() {
            ends.client.send(&[byte], Vec::new());
            next = (!self.trickling.is_empty()).then(|| now + TRICKLE);
        }
        if let Some((until, bytes)) = self.overtaken.take() {
            if until > now {
                next = Some(until);
                self.overtaken = Some((until, bytes));
            } else {
                ends.client.send(&bytes, Vec::new());
            }
        }
        if self.is_ending && self.is_done() {
            ends.client.end();
        }
        next
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        let gate = self.shared.gate.as_ref()?;
        (!self.late.is_empty()).then(|| gate.bell.as_fd())
    }

    fn is_busy(&self) -> bool {
        !self.is_done()
    }
}

/// A reply with 10 MiB. A text becomes as long, anything else gets blanks behind its first brace.
fn enlarged(reply: ValueRef<'_>, bytes: &[u8]) -> Vec<u8> {
    if let Some(text) = reply.get("return").and_then(ValueRef::as_str) {
        let text = if text.is_empty() { "x" } else { text };
        let long: String = text.chars().cycle().take(LARGE).collect();
        let mut members = reply.to_object();
        members.insert("return", Value::from(long));
        return format!("{}\r\n", Value::Object(members)).into_bytes();
    }
    let mut large = Vec::with_capacity(bytes.len() + LARGE);
    large.push(b'{');
    large.resize(LARGE, b' ');
    large.extend_from_slice(bytes.get(1..).unwrap_or_default());
    large
}

/// An error in the place of a reply.
fn refusal(reply: ValueRef<'_>) -> Vec<u8> {
    let mut members = reply.to_object();
    members.remove("return");
    let error = [
        ("class".to_owned(), Value::from("GenericError")),
        ("desc".to_owned(), Value::from("no capabilities today")),
    ];
    members.insert("error", Value::from_iter(error));
    format!("{}\r\n", Value::Object(members)).into_bytes()
}
