//! What the fronts of the client have in common: who waits for which answer and which events.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use super::EVENT_BACKLOG;
use super::core::{Admission, ClientCore, Incoming};
use super::error::{ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::lifeline::{Lifeline, Pulse};
use super::listener::{Feed, Following};
use super::options::{ConnectOptions, OnConnection};
use super::request::{Deliver, Encoded};
use super::trace;
use crate::introspection::PeerSchema;
use crate::transcript::Ended;

/// The connection that there is, and all who wait for something from it.
///
/// Dropping a [`Deliver`] tells its owner that no answer will come.
pub(super) struct Hub {
    peer: Arc<str>,
    core: ClientCore,
    waiting: HashMap<u64, Deliver>,
    listeners: Vec<Listening>,
    early: Early,
    /// Whether the connection was of use.
    was_answered: bool,
    /// What the server has told of itself on this connection.
    schema: Option<Arc<PeerSchema>>,
    /// The number of this connection.
    connection: u64,
    pulse: Pulse,
    on_connection: Option<OnConnection>,
    /// Whether that was called for this connection: a guest agent becomes ready more than once.
    is_ready: bool,
}

/// Events that came before somebody listened for the first time.
struct Early {
    /// More of them are kept until then.
    is_kept: bool,
    events: Vec<Arc<RawEvent>>,
    /// Those for which there was no room.
    n_missed: u64,
}

impl Early {
    fn keep(&mut self, event: Arc<RawEvent>) {
        if self.events.len() < EVENT_BACKLOG {
            self.events.push(event);
        } else {
            self.n_missed += 1;
        }
    }
}

struct Listening {
    filter: EventFilter,
    feed: Feed,
    /// Whether it goes on with the next connection.
    is_lasting: bool,
}

impl Hub {
    pub(super) fn new(options: &ConnectOptions) -> Self {
        Self {
            peer: options.peer(),
            core: new_core(options),
            waiting: HashMap::new(),
            listeners: Vec::new(),
            early: Early {
                is_kept: true,
                events: Vec::new(),
                n_missed: 0,
            },
            was_answered: false,
            schema: None,
            connection: 0,
            pulse: Pulse::new(),
            on_connection: options.on_connection.clone(),
            is_ready: false,
        }
    }

    /// How the server is, if it has so long for an answer.
    pub(super) fn lifeline(&self, patience: Duration) -> Lifeline {
        self.pulse.lifeline(patience)
    }

    /// The connection was not made again.
    pub(super) fn not_connected(&mut self, error: &ClientError) {
        self.pulse.not_connected(error.lifeline());
    }

    /// The connection is lost. Those who wait for answers are told, and those who listen to what comes of a command; others who
    /// listen stay. Whether it was of use.
    pub(super) fn lost(&mut self) -> bool {
        trace::lost(&self.peer);
        self.core.ended(Ended::ByServer);
        self.waiting.clear();
        self.listeners.retain(|listening| listening.is_lasting);
        self.schema = None;
        self.connection += 1;
        self.pulse.lost();
        self.is_ready = false;
        std::mem::take(&mut self.was_answered)
    }

    /// Goes on with the connection of another hub, which may not be established. Its events are handed on here.
    pub(super) fn adopt(&mut self, mut other: Self) {
        for event in other.early.events.drain(..) {
            self.event(event);
        }
        self.early.n_missed += other.early.n_missed;
        self.core = other.core;
        self.pulse.adopt(other.pulse);
        self.is_ready = other.is_ready;
    }

    /// Tells everybody that nothing more will come.
    pub(super) fn close(&mut self) {
        self.core.ended(Ended::ByClient);
        self.pulse.lost();
        self.waiting.clear();
        self.listeners.clear();
        self.early.is_kept = false;
        self.early.events = Vec::new();
    }

    pub(super) fn core(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    /// A request is about to be written: what comes from now on may be its answer, and may be what it causes.
    pub(super) fn sent(
        &mut self,
        request: &Encoded,
        deliver: Deliver,
        following: Option<Following>,
    ) {
        trace::asked(&self.peer, request.id, &request.command);
        self.core.sent(request);
        self.pulse.asked(request.id);
        self.waiting.insert(request.id, deliver);
        if let Some(Following { filter, feed }) = following {
            self.add(Listening {
                filter,
                feed,
                is_lasting: false,
            });
        }
    }

    /// The answer is not waited for any more. If there will be one, it is still matched.
    pub(super) fn forget(&mut self, id: u64, is_answered: bool) {
        self.waiting.remove(&id);
        if !is_answered {
            self.pulse.forget(id);
        }
        self.core.abandoned(id, is_answered);
    }

    /// The caller has given up: the answer, if it comes, goes to `deliver`. False if none is on its way, since it was not
    /// sent or has come.
    pub(super) fn defer(&mut self, id: u64, deliver: Deliver) -> bool {
        let Some(waiting) = self.waiting.get_mut(&id) else {
            return false;
        };
        *waiting = deliver;
        self.core.abandoned(id, true);
        true
    }

    /// What the server has told of itself, and the number of the connection on which it would have.
    pub(super) fn schema(&self) -> (Option<Arc<PeerSchema>>, u64) {
        (self.schema.clone(), self.connection)
    }

    /// Keeps what the server has told, unless that was another one.
    pub(super) fn keep_schema(&mut self, schema: &Arc<PeerSchema>, connection: u64) {
        if connection == self.connection {
            self.schema = Some(Arc::clone(schema));
        }
    }

    /// Whether a request may be sent now.
    pub(super) fn admit(&mut self, out_of_band: bool) -> Admission {
        self.core.admit(out_of_band)
    }

    /// The request was not sent: tells who waits for its answer, which will not come.
    pub(super) fn fail(&mut self, id: u64, kind: ClientErrorKind) {
        self.core.unanswered(id);
        self.pulse.forget(id);
        if let Some(deliver) = self.waiting.remove(&id) {
            deliver(Err(kind));
        }
    }

    /// Listens from now on.
    pub(super) fn listen(&mut self, filter: EventFilter, feed: Feed) {
        self.add(Listening {
            filter,
            feed,
            is_lasting: true,
        });
    }

    fn add(&mut self, listening: Listening) {
        // Those that have gone make room, whether or not events come.
        self.listeners
            .retain(|listening| listening.feed.is_wanted());
        self.listeners.push(listening);
    }

    /// The same, and gets what came before there was a listener, unless another one has got it.
    pub(super) fn listen_first(&mut self, filter: EventFilter, feed: Feed) {
        self.early.is_kept = false;
        feed.missed(std::mem::take(&mut self.early.n_missed));
        let wanted = |event: &mut Arc<RawEvent>| filter.matches(event);
        for event in self.early.events.extract_if(.., wanted) {
            feed.push(&event);
        }
        self.listen(filter, feed);
    }

    fn event(&mut self, event: Arc<RawEvent>) {
        let matching = |listening: &&Listening| listening.filter.matches(&event);
        for listening in self.listeners.iter().filter(matching) {
            listening.feed.push(&event);
        }
        if self.early.is_kept {
            self.early.keep(event);
        }
    }

    fn ready(&mut self) {
        trace::ready(&self.peer);
        self.pulse.forget_all();
        if !std::mem::replace(&mut self.is_ready, true)
            && let Some(on_connection) = &self.on_connection
        {
            on_connection.call();
        }
    }

    /// Hands on all that is in `input`. If that is not QMP, all who wait are told so.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<(), ClientError> {
        let result = self.hand_on(input);
        if let Err(error) = &result {
            let text = match error.kind() {
                ClientErrorKind::Protocol(text) => text.clone(),
                _ => error.to_string(),
            };
            for (_, deliver) in self.waiting.drain() {
                deliver(Err(ClientErrorKind::Protocol(text.clone())));
            }
        }
        result
    }

    fn hand_on(&mut self, mut input: &[u8]) -> Result<(), ClientError> {
        self.pulse.heard();
        while let Some(incoming) = self.core.receive(&mut input)? {
            match incoming {
                Incoming::Ready => self.ready(),
                Incoming::Reply(id, answer) => {
                    trace::replied(&self.peer, id);
                    self.pulse.answered(id);
                    self.was_answered = true;
                    if let Some(deliver) = self.waiting.remove(&id) {
                        deliver(Ok(answer));
                    }
                }
                Incoming::Event(event) => self.event(Arc::new(event)),
            }
        }
        Ok(())
    }
}

fn new_core(options: &ConnectOptions) -> ClientCore {
    // A fresh RandomState is a number that differs from connection to connection.
    let seed = RandomState::new().hash_one(0_u8);
    let mut core = ClientCore::with_limits(options.dialect, options.oob, seed, options.limits);
    if let Some(transcript) = &options.transcript {
        core.record_as(Arc::clone(transcript), &options.peer());
    }
    core
}
