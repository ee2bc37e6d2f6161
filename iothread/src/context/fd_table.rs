//! The handlers of a context, as its loop knows them.

use rustix::event::epoll::{Event, EventFlags};

use super::interest::Polling;
use super::polling::PollParameters;
use crate::slab::{Key, Slab};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};

/// Why a handler is dispatched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Readiness {
    Events(EventFlags),
    /// Its poll callback has found something.
    Polled,
}

/// A registered handler as the loop has it. Only the loop's thread calls it.
pub(super) trait Watched: Send + Sync {
    /// Calls the callbacks that `readiness` asks for.
    fn dispatch(&self, readiness: Readiness);

    /// Counts an event for adaptive polling. Returns the polling time that the handler wants.
    fn record_event(&self, waited_ns: i64, parameters: &PollParameters) -> i64;

    /// Whether the loop calls its poll callback at the moment.
    fn is_polled(&self) -> bool;

    /// Whether the handler has work.
    fn poll(&self) -> bool;

    fn poll_begin(&self);

    fn poll_end(&self);
}

/// The handlers, and what the loop asks about them all.
#[derive(Default)]
pub(super) struct FdTable {
    entries: Mutex<Slab<Arc<dyn Watched>>>,
    len: AtomicUsize,
    /// How many handlers watch for something that cannot be polled.
    n_unpollable: AtomicUsize,
    /// How many handlers watch for something that the kernel is asked for now and then while the loop polls.
    n_late: AtomicUsize,
    /// Counts the changes among those that are polled.
    pollable_version: AtomicU64,
}

impl FdTable {
    pub(super) fn insert(&self, handler: Arc<dyn Watched>) -> Key {
        let mut entries = self.entries.lock();
        let key = entries.insert(handler);
        self.len.store(entries.len(), Ordering::Release);
        key
    }

    pub(super) fn remove(&self, key: Key) {
        let mut entries = self.entries.lock();
        let removed = entries.remove(key);
        self.len.store(entries.len(), Ordering::Release);
        drop(entries);
        drop(removed);
    }

    /// Makes the loop look anew for those that are polled.
    pub(super) fn change_pollable(&self) {
        self.pollable_version.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a handler that begins to watch for something, or ends to.
    pub(super) fn count(&self, polling: Polling, begins: bool) {
        let count = match polling {
            Polling::Never => &self.n_unpollable,
            Polling::Kernel => &self.n_late,
            Polling::Memory => return,
        };
        if begins {
            count.fetch_add(1, Ordering::AcqRel);
        } else {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn any_unpollable(&self) -> bool {
        self.n_unpollable.load(Ordering::Acquire) > 0
    }

    pub(super) fn any_late(&self) -> bool {
        self.n_late.load(Ordering::Acquire) > 0
    }

    pub(super) fn pollable_version(&self) -> u64 {
        self.pollable_version.load(Ordering::Acquire)
    }

    /// The handlers that can be polled.
    pub(super) fn pollable(&self) -> Vec<Arc<dyn Watched>> {
        let entries = self.entries.lock();
        entries
            .iter()
            .filter(|(_, it)| it.is_polled())
            .map(|(_, it)| Arc::clone(it))
            .collect()
    }

    /// Adds the handlers that epoll has named to `ready`; those removed meanwhile are left out.
    pub(super) fn resolve(&self, events: &[Event], ready: &mut Vec<(Arc<dyn Watched>, Readiness)>) {
        let entries = self.entries.lock();
        for event in events {
            let key = Key::from_bits(event.data.u64());
            if let Some(handler) = key.and_then(|key| entries.get(key)) {
                ready.push((Arc::clone(handler), Readiness::Events(event.flags)));
            }
        }
    }
}
