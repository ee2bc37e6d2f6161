//! Events on their way to one session.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{EventMessage, Session};

/// Events that wait for the driver of a session; it takes them faster than they come, or they are dropped and counted.
pub const EVENT_QUEUE_LENGTH: usize = 4096;

/// Events on their way to one session; any thread may add to it. Clones are handles on the same.
///
/// The session takes them before it writes a reply, so that what a handler emits before it returns precedes its reply. When
/// nothing is replied its driver calls [`Session::take_events`](super::Session::take_events).
#[derive(Clone, Debug, Default)]
pub struct EventQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Events and gaps, to see without the lock whether there are any.
    n_waiting: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) events: VecDeque<EventMessage>,
    pub(super) n_dropped: u64,
}

impl EventQueue {
    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        // What is locked here is never left half done.
        let waiting = self.shared.waiting.lock();
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut waiting);
        let n_waiting = waiting.events.len();
        self.shared.n_waiting.store(n_waiting, Ordering::Release);
        result
    }

    /// Adds an event. True if it is the first one, so that the driver is to be told.
    #[must_use = "the driver of the session has to be told"]
    pub fn push(&self, event: EventMessage) -> bool {
        self.change(|waiting| {
            if waiting.events.len() < EVENT_QUEUE_LENGTH {
                waiting.events.push_back(event);
            } else {
                waiting.n_dropped += 1;
            }
            waiting.events.len() == 1
        })
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.shared.n_waiting.load(Ordering::Acquire) == 0
    }

    pub(super) fn take(&self) -> Waiting {
        self.change(std::mem::take)
    }
}

impl Session {
    /// Sends the events that wait in the queue.
    pub fn take_events(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let waiting = self.events.take();
        self.n_dropped_events += waiting.n_dropped;
        for event in &waiting.events {
            self.write_event(event);
        }
    }

    /// The same for events that are to precede what was written from `mark` on.
    pub(super) fn put_events_before(&mut self, mark: usize) {
        if !self.events.is_empty() {
            let n_written = self.out.len() - mark;
            self.take_events();
            self.out[mark..].rotate_left(n_written);
        }
    }

    /// Sends an event, after those that wait in the queue, if the capabilities are negotiated.
    pub fn send_event(&mut self, event: &EventMessage) {
        self.take_events();
        self.write_event(event);
    }

    fn write_event(&mut self, event: &EventMessage) {
        if !self.is_negotiated() || self.is_finished() {
            return;
        }
        let n_unsent = self.out.len() - self.sent;
        if n_unsent >= self.config.max_unsent_events || !self.has_room(event.as_bytes().len()) {
            self.n_dropped_events += 1;
            return;
        }
        let mark = self.out.len();
        let mut output = self.begin_message();
        self.write_wire(&mut output, event.as_bytes());
        self.end_message(output, mark);
        self.account();
    }
}
