//! What the fronts of the client have in common: who waits for which answer and which events.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::core::{Answer, ClientCore, Encoded, Incoming};
use super::error::{ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::options::ConnectOptions;

/// Takes the answer to one request.
pub(super) type Deliver = Box<dyn FnOnce(Result<Answer, ClientErrorKind>) + Send>;

/// Hands an event to a listener; false if it has no room for it.
pub(super) type Listen = Box<dyn Fn(Arc<RawEvent>) -> bool + Send>;

/// Counts the events that a listener has missed; gone with the listener.
pub(super) type Missed = Arc<AtomicU64>;

/// The connection that there is, and all who wait for something from it.
///
/// Dropping a [`Deliver`] tells its owner that no answer will come.
pub(super) struct Hub {
    core: ClientCore,
    waiting: HashMap<u64, Deliver>,
    listeners: Vec<Listener>,
}

struct Listener {
    filter: EventFilter,
    missed: Weak<AtomicU64>,
    listen: Listen,
}

impl Listener {
    fn is_there(&self) -> bool {
        self.missed.strong_count() > 0
    }

    fn hand_on(&self, event: &Arc<RawEvent>) {
        if !(self.listen)(Arc::clone(event))
            && let Some(missed) = self.missed.upgrade()
        {
            missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Hub {
    pub(super) fn new(options: &ConnectOptions) -> Self {
        Self {
            core: new_core(options),
            waiting: HashMap::new(),
            listeners: Vec::new(),
        }
    }

    /// Starts over with another connection. Those who wait for answers are told; those who
    /// listen stay.
    pub(super) fn restart(&mut self, options: &ConnectOptions) {
        self.waiting.clear();
        self.core = new_core(options);
    }

    /// Goes on with a connection that another hub has established.
    pub(super) fn adopt(&mut self, established: Self) {
        self.core = established.core;
    }

    /// Tells everybody that nothing more will come.
    pub(super) fn close(&mut self) {
        self.waiting.clear();
        self.listeners.clear();
    }

    pub(super) fn core(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    pub(super) fn sent(&mut self, request: &Encoded, out_of_band: bool, deliver: Deliver) {
        self.core.sent(request, out_of_band);
        self.waiting.insert(request.id, deliver);
    }

    /// Nobody waits for the answer any more. If there will be one, it is still matched.
    pub(super) fn forget(&mut self, id: u64, is_answered: bool) {
        self.waiting.remove(&id);
        if !is_answered {
            self.core.unanswered(id);
        }
    }

    /// The request was not sent: tells who waits for its answer, which will not come.
    #[cfg(feature = "tokio")]
    pub(super) fn fail(&mut self, id: u64, kind: ClientErrorKind) {
        self.core.unanswered(id);
        if let Some(deliver) = self.waiting.remove(&id) {
            deliver(Err(kind));
        }
    }

    pub(super) fn listen(&mut self, filter: EventFilter, missed: &Missed, listen: Listen) {
        // Those that have gone make room, whether or not events come.
        self.listeners.retain(Listener::is_there);
        self.listeners.push(Listener {
            filter,
            missed: Arc::downgrade(missed),
            listen,
        });
    }

    /// Hands on all that is in `input`. If that is no QMP, all who wait are told so.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<(), ClientError> {
        let result = self.hand_on(input);
        if let Err(error) = &result {
            let text = format!("what the server sent is no QMP: {error}");
            for (_, deliver) in self.waiting.drain() {
                deliver(Err(ClientErrorKind::Protocol(text.clone())));
            }
        }
        result
    }

    fn hand_on(&mut self, mut input: &[u8]) -> Result<(), ClientError> {
        while let Some(incoming) = self.core.receive(&mut input)? {
            match incoming {
                Incoming::Ready => {}
                Incoming::Reply(id, answer) => {
                    if let Some(deliver) = self.waiting.remove(&id) {
                        deliver(Ok(answer));
                    }
                }
                Incoming::Event(event) => {
                    let event = Arc::new(event);
                    let matching = |listener: &&Listener| listener.filter.matches(&event);
                    for listener in self.listeners.iter().filter(matching) {
                        listener.hand_on(&event);
                    }
                }
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
        core.record(Arc::clone(transcript));
    }
    core
}
