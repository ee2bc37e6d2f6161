//! The protocol on the side of the client, without I/O.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::error::{Awaited, ClientError, ClientErrorKind};
use super::event::RawEvent;
use super::request::{Answer, Encoded, error_of};
use super::said::Said;
use super::transcript::{Recorder, Transcript};
use crate::dialect::Dialect;
use crate::json::{Document, Limits, Parsed, Parser, ValueRef};
use crate::message::CAPABILITIES;
use crate::transcript::Ended;
use crate::value::Value;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// The version, of the form that `query-version` returns.
    pub version: Value,
    /// Whether it offers execution out of band.
    pub offers_oob: bool,
}

/// What came from the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// The connection is ready for commands; for a guest agent, maybe once more.
    Ready,
    /// The answer to the request with this number.
    Reply(u64, Answer),
    /// An event.
    Event(RawEvent),
}

/// Whether a request may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Now,
    /// Not before an answer has come: as many requests are on their way as the server takes.
    Full,
    /// Not before [`Incoming::Ready`]: the protocol has something to say first
    /// ([`ClientCore::take_output`], and [`ClientCore::repeat_sync`] after each [`ClientCore::sync_pause`]).
    NotReady,
}

/// Commands in band that may be on their way while execution out of band is enabled. The server reads no further with more of
/// them (QMP: "the client should have at most eight in-band commands in flight"), so one out of band would have to wait.
pub const MAX_IN_BAND: usize = 8;

/// How long the answer to a synchronization is waited for before it is repeated, the first time. Twice as long each time.
const SYNC_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, PartialEq)]
enum Phase {
    /// Waiting for the greeting.
    Greeting,
    /// `qmp_capabilities` is on its way.
    Negotiating,
    /// `guest-sync-delimited` with the last of these numbers is on its way.
    Syncing(Vec<u64>),
    Ready,
}

/// A request without an answer.
#[derive(Debug)]
struct Flight {
    out_of_band: bool,
    /// The answer is not waited for any more, or will not come.
    is_abandoned: bool,
}

/// The protocol on the side of the client.
///
/// Bytes from the server go in through [`ClientCore::receive`]; bytes for the server are taken
/// with [`ClientCore::take_output`].
#[derive(Debug)]
pub struct ClientCore {
    dialect: Dialect,
    parser: Parser,
    phase: Phase,
    wants_oob: bool,
    oob: bool,
    greeting: Option<Greeting>,
    output: Vec<u8>,
    /// In the order in which they were sent.
    pending: IndexMap<u64, Flight>,
    n_in_band: usize,
    /// Whether replies are seen to have the number of their request.
    repeats_ids: bool,
    /// The source of numbers for synchronization.
    seed: u64,
    sync_pause: Duration,
    /// An earlier synchronization has been answered, so the last one will be.
    is_heard: bool,
    /// Something that should be a guest agent has greeted like a QMP server.
    is_greeted: bool,
    /// What does not belong to a message of the protocol, or not yet.
    said: Said,
    recorder: Option<Recorder>,
}

/// The `id` of the negotiation; requests have numbers.
pub(super) const NEGOTIATION: &str = "negotiation";

impl ClientCore {
    /// The start of a connection. `seed` should differ from connection to connection: the guest
    /// agent echoes what is made of it. Replies are taken up to [`Limits::REPLY`].
    pub fn new(dialect: Dialect, wants_oob: bool, seed: u64) -> Self {
        Self::with_limits(dialect, wants_oob, seed, Limits::REPLY)
    }

    /// The same with other limits of what is taken from the server.
    pub fn with_limits(dialect: Dialect, wants_oob: bool, seed: u64, limits: Limits) -> Self {
        let mut core = Self {
            dialect,
            parser: Parser::new(limits),
            phase: Phase::Greeting,
            wants_oob,
            oob: false,
            greeting: None,
            output: Vec::new(),
            pending: IndexMap::new(),
            n_in_band: 0,
            repeats_ids: dialect == Dialect::Qmp,
            seed,
            sync_pause: SYNC_PAUSE,
            is_heard: false,
            is_greeted: false,
            said: Said::default(),
            recorder: None,
        };
        if dialect == Dialect::GuestAgent {
            core.sync();
        }
        core
    }

    /// Records the messages of both sides from now on.
    pub fn record(&mut self, transcript: Arc<Transcript>) {
        self.record_as(transcript, "");
    }

    /// The same, with the name of the peer.
    pub(super) fn record_as(&mut self, transcript: Arc<Transcript>, peer: &str) {
        self.recorder = Some(transcript.recorder(self.dialect, peer));
    }

    /// Notes why the connection has ended, for a recording.
    pub(super) fn ended(&mut self, by: Ended) {
        if let Some(recorder) = self.recorder.take() {
            recorder.closed(by);
        }
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// Whether commands may be sent.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether commands may be executed out of band.
    pub fn oob_enabled(&self) -> bool {
        self.oob
    }

    /// What the connection waits for before it is ready.
    pub(super) fn awaited(&self) -> Awaited {
        match self.phase {
            Phase::Greeting => Awaited::Greeting,
            Phase::Negotiating => Awaited::Negotiation,
            Phase::Syncing(_) => Awaited::Synchronization,
            Phase::Ready => Awaited::Answer,
        }
    }

    /// What came instead of a message of the protocol, for people.
    pub(super) fn said(&self) -> Option<String> {
        self.said.text()
    }

    /// The bytes that the protocol itself has to send.
    pub fn take_output(&mut self) -> Vec<u8> {
        let output = std::mem::take(&mut self.output);
        if let Some(recorder) = self.recorder.as_mut().filter(|_| !output.is_empty()) {
            recorder.sent(&output);
        }
        output
    }

    /// Whether a request may be sent now. Asked for one that is there: a guest agent that may have lost a request begins to be
    /// synchronized again.
    pub fn admit(&mut self, out_of_band: bool) -> Admission {
        if self.phase != Phase::Ready {
            return Admission::NotReady;
        }
        if !self.repeats_ids && !self.pending.is_empty() {
            if self.pending.values().any(|flight| !flight.is_abandoned) {
                return Admission::Full;
            }
            self.sync_pause = SYNC_PAUSE;
            self.sync();
            return Admission::NotReady;
        }
        if self.oob && !out_of_band && self.n_in_band >= MAX_IN_BAND {
            return Admission::Full;
        }
        Admission::Now
    }

    /// Whether [`ClientCore::admit`] would say [`Admission::Full`].
    pub(super) fn is_full(&self) -> bool {
        let waits = |flight: &Flight| !flight.is_abandoned;
        self.phase == Phase::Ready
            && match self.repeats_ids {
                true => self.oob && self.n_in_band >= MAX_IN_BAND,
                false => self.pending.values().any(waits),
            }
    }

    /// How long to wait for [`Incoming::Ready`] before [`ClientCore::repeat_sync`]; `None` if there is nothing to repeat.
    pub fn sync_pause(&self) -> Option<Duration> {
        matches!(self.phase, Phase::Syncing(_)).then_some(self.sync_pause)
    }

    /// Synchronizes a guest agent anew, as the last attempt has no answer.
    pub fn repeat_sync(&mut self) {
        if !matches!(self.phase, Phase::Syncing(_)) {
            return;
        }
        self.sync_pause = self.sync_pause.saturating_mul(2);
        // An agent that is slow would never get to the end of it.
        if !std::mem::take(&mut self.is_heard) {
            self.sync();
        }
    }

    /// Asks for the answer that is unlike all others.
    fn sync(&mut self) {
        // Steps through all numbers; the agent's are signed.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = self.seed >> 1;
        self.is_heard = false;
        match &mut self.phase {
            Phase::Syncing(numbers) => numbers.push(number),
            phase => *phase = Phase::Syncing(vec![number]),
        }
        // The byte resets the agent's parser.
        self.output.push(0xff);
        self.output.extend_from_slice(
            format!(
                "{{\"execute\": \"guest-sync-delimited\", \"arguments\": {{\"id\": {number}}}}}\n"
            )
            .as_bytes(),
        );
    }

    /// Notes that a request is sent.
    pub fn sent(&mut self, request: &Encoded) {
        let out_of_band = request.out_of_band;
        let flight = Flight {
            out_of_band,
            is_abandoned: false,
        };
        self.pending.insert(request.id, flight);
        self.n_in_band += usize::from(!out_of_band);
        if let Some(recorder) = &mut self.recorder {
            recorder.sent(&request.bytes);
        }
    }

    /// Notes that a request was not sent after all, so that it will have no answer.
    pub fn unanswered(&mut self, id: u64) {
        self.take(id);
    }

    /// Notes that the answer to a request is not waited for any more. A server that is to answer it still does, unless it is
    /// lost; one that `is_answered` only when it fails may never do so.
    pub fn abandoned(&mut self, id: u64, is_answered: bool) {
        if self.repeats_ids && !is_answered {
            self.take(id);
        } else if let Some(flight) = self.pending.get_mut(&id) {
            flight.is_abandoned = true;
        }
    }

    /// Whether a request is sent and has no answer yet.
    #[cfg(feature = "client-async")]
    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    fn take(&mut self, id: u64) -> bool {
        let taken = self.pending.shift_remove(&id);
        let is_in_band = taken.as_ref().is_some_and(|flight| !flight.out_of_band);
        self.n_in_band -= usize::from(is_in_band);
        taken.is_some()
    }

    /// Takes bytes off the front of `input` up to the next thing of interest; `None` if there is
    /// nothing in all of it.
    ///
    /// # Errors
    ///
    /// What the server sent is not QMP; the connection is of no use any more.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, ClientError> {
        loop {
            let before = *input;
            let parsed = self.parser.feed(input);
            self.said.hear(&before[..before.len() - input.len()]);
            match parsed {
                Parsed::Incomplete => return Ok(None),
                Parsed::Error(error) => {
                    // The agent marks the start of its answer with a byte that is not JSON, and
                    // what comes before is left over from others.
                    if !matches!(self.phase, Phase::Syncing(_)) {
                        self.said.hear(input);
                        return Err(self.misunderstood(&error.to_string()));
                    }
                }
                Parsed::Value => {
                    let message = self.parser.take_document();
                    let incoming = self.message(message)?;
                    self.said.understood();
                    if incoming.is_some() {
                        return Ok(incoming);
                    }
                }
            }
        }
    }

    /// What came is not of the protocol.
    fn misunderstood(&self, why: &str) -> ClientError {
        let said = self
            .said()
            .map_or_else(String::new, |said| format!(", it says {said}"));
        protocol(&match self.phase {
            Phase::Greeting => format!("not a QMP server{said}"),
            Phase::Syncing(_) => format!("not a guest agent{said}"),
            Phase::Negotiating | Phase::Ready => format!("{why}{said}"),
        })
    }

    fn message(&mut self, message: Document) -> Result<Option<Incoming>, ClientError> {
        let root = message.root();
        if let Some(recorder) = &mut self.recorder {
            recorder.received(root);
        }
        if root.get("event").is_some() {
            return Ok(RawEvent::new(message).map(Incoming::Event));
        }
        match &self.phase {
            Phase::Greeting => {
                let Some(greeting) = root.get("QMP") else {
                    return Err(self.misunderstood("").with_received(message));
                };
                self.greet(greeting);
                Ok(None)
            }
            Phase::Negotiating => {
                if let Some(error) = error_of(root) {
                    return Err(ClientError::new(ClientErrorKind::Server(error))
                        .for_command(CAPABILITIES)
                        .with_received(message));
                }
                if root.get("return").is_none() {
                    return Ok(None);
                }
                self.phase = Phase::Ready;
                Ok(Some(Incoming::Ready))
            }
            Phase::Syncing(numbers) => {
                let number = root.get("return").and_then(ValueRef::as_u64);
                if number.is_some() && number == numbers.last().copied() {
                    self.phase = Phase::Ready;
                    // What is not answered before this is lost.
                    self.pending.clear();
                    self.n_in_band = 0;
                    return Ok(Some(Incoming::Ready));
                }
                self.is_heard |= number.is_some_and(|number| numbers.contains(&number));
                // The greeting of a QMP server, which does not know the command either.
                if self.is_greeted && error_of(root).is_some() {
                    return Err(self.misunderstood("").with_received(message));
                }
                self.is_greeted |= root.get("QMP").is_some();
                // Late, and with a number.
                let id = root.get("id").and_then(ValueRef::as_u64);
                match id.filter(|id| self.pending.contains_key(id)) {
                    Some(_) => self.reply(message),
                    None => Ok(None),
                }
            }
            Phase::Ready => self.reply(message),
        }
    }

    fn greet(&mut self, greeting: ValueRef<'_>) {
        let greeting = Greeting::of(greeting);
        self.oob = self.wants_oob && greeting.offers_oob;
        self.greeting = Some(greeting);
        let enable = if self.oob { r#""oob""# } else { "" };
        self.output.extend_from_slice(
            format!(
                "{{\"execute\": \"qmp_capabilities\", \"arguments\": {{\"enable\": [{enable}]}}, \
                 \"id\": \"{NEGOTIATION}\"}}\r\n"
            )
            .as_bytes(),
        );
        self.phase = Phase::Negotiating;
    }

    fn reply(&mut self, message: Document) -> Result<Option<Incoming>, ClientError> {
        let root = message.root();
        let error = error_of(root);
        if error.is_none() && root.get("return").is_none() {
            return Err(self
                .misunderstood("neither a reply nor an event")
                .with_received(message));
        }
        let id = match root.get("id") {
            Some(id) => {
                self.repeats_ids = true;
                id.as_u64()
            }
            // An old agent does not repeat it, and a server that could not parse a request
            // cannot; both answer in order.
            None => {
                self.repeats_ids = self.dialect == Dialect::Qmp;
                let in_band = |(_, flight): &(&u64, &Flight)| !flight.out_of_band;
                self.pending.iter().find(in_band).map(|(id, _)| *id)
            }
        };
        // QMP: "Clients should drop all the responses that have an unknown id".
        let Some(id) = id.filter(|id| self.take(*id)) else {
            return Ok(None);
        };
        Ok(Some(Incoming::Reply(id, Answer { message, error })))
    }
}

impl Drop for ClientCore {
    fn drop(&mut self) {
        self.ended(Ended::ByClient);
    }
}

impl Greeting {
    fn of(greeting: ValueRef<'_>) -> Self {
        let is_oob = |name: ValueRef<'_>| name.as_str() == Some("oob");
        let offered = greeting.get("capabilities");
        Self {
            version: greeting
                .get("version")
                .map_or(Value::Null, ValueRef::to_value),
            offers_oob: offered.is_some_and(|offered| offered.elements().any(is_oob)),
        }
    }
}

fn protocol(text: &str) -> ClientError {
    ClientError::new(ClientErrorKind::Protocol(text.to_owned()))
}

#[cfg(test)]
mod tests;
