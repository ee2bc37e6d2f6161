//! Which IOThreads there are.

use std::collections::{BTreeMap, HashMap};

use super::iothread::{DeleteError, IoThread};
use crate::context::VirtualClock;
use crate::debug::debug_by;
use crate::info::IoThreadInfo;
use crate::sync::{Arc, Mutex, OnceLock, Weak};

/// The IOThreads of a process, or of a part of it. Clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    virtual_clock: VirtualClock,
}

#[derive(Default)]
struct State {
    /// The threads under `/objects`.
    objects: Listing,
    /// The program's own.
    internal: Listing,
    n_created: u64,
}

/// Threads in the order of their creation, with ids of their own.
#[derive(Default)]
struct Listing {
    threads: BTreeMap<u64, IoThread>,
    /// Also has the ids of those that are being created.
    numbers: HashMap<String, u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// A registry without threads, with a virtual clock of its own.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::default()),
                virtual_clock: VirtualClock::new(),
            }),
        }
    }

    /// The registry of the process, which all threads are in unless told otherwise.
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Registry> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// The virtual clock of all contexts that were not given another one.
    pub fn virtual_clock(&self) -> &VirtualClock {
        &self.inner.virtual_clock
    }

    /// The threads under `/objects`, in the order of their creation.
    pub fn threads(&self) -> Vec<IoThread> {
        self.inner.state.lock().objects.all()
    }

    /// The program's own threads, in the order of their creation.
    pub fn internal_threads(&self) -> Vec<IoThread> {
        self.inner.state.lock().internal.all()
    }

    /// The thread of that id under `/objects`.
    pub fn find(&self, id: &str) -> Option<IoThread> {
        self.inner.state.lock().objects.find(id)
    }

    /// The thread of that id among the program's own.
    pub fn find_internal(&self, id: &str) -> Option<IoThread> {
        self.inner.state.lock().internal.find(id)
    }

    /// Deletes the thread of that id under `/objects`, as [`IoThread::delete`] does.
    ///
    /// # Errors
    ///
    /// There is no such thread, or somebody holds it.
    pub fn delete(&self, id: &str) -> Result<(), DeleteError> {
        self.found(id)?.delete()
    }

    /// As [`delete`](Self::delete), but refused as long as a holder is listed, also one that has been released:
    /// [`IoThread::try_delete`]. For a loop, which must not wait for anybody's work.
    ///
    /// # Errors
    ///
    /// There is no such thread, or a holder is listed.
    pub fn try_delete(&self, id: &str) -> Result<(), DeleteError> {
        self.found(id)?.try_delete()
    }

    fn found(&self, id: &str) -> Result<IoThread, DeleteError> {
        let missing = || DeleteError::NotFound { id: id.to_owned() };
        self.find(id).ok_or_else(missing)
    }

    /// What `query-iothreads` returns.
    pub fn query_iothreads(&self) -> Vec<IoThreadInfo> {
        self.threads().iter().map(IoThread::info).collect()
    }

    /// What `x-query-internal-iothreads` returns.
    pub fn query_internal_iothreads(&self) -> Vec<IoThreadInfo> {
        self.internal_threads().iter().map(IoThread::info).collect()
    }

    /// Sets an id aside for a thread that is being created; `None` if it is in use.
    pub(crate) fn reserve(&self, id: &str, internal: bool) -> Option<Place> {
        let mut state = self.inner.state.lock();
        let number = state.n_created;
        let listing = state.listing(internal);
        if listing.numbers.contains_key(id) {
            return None;
        }
        listing.numbers.insert(id.to_owned(), number);
        state.n_created += 1;
        Some(Place {
            registry: Arc::downgrade(&self.inner),
            id: id.to_owned(),
            internal,
            number,
        })
    }

    /// Lists a thread at the place that it has.
    pub(crate) fn list(&self, number: u64, thread: &IoThread) {
        let mut state = self.inner.state.lock();
        let listing = state.listing(thread.is_internal());
        listing.threads.insert(number, thread.clone());
    }
}

debug_by!(Registry, [impl] Registry, |it| threads = it.threads());

impl State {
    fn listing(&mut self, internal: bool) -> &mut Listing {
        if internal {
            &mut self.internal
        } else {
            &mut self.objects
        }
    }
}

impl Listing {
    fn all(&self) -> Vec<IoThread> {
        self.threads.values().cloned().collect()
    }

    fn find(&self, id: &str) -> Option<IoThread> {
        self.threads.get(self.numbers.get(id)?).cloned()
    }
}

/// A place in a registry, until the value is dropped: an id that no other thread can have there, and the thread that is listed under it.
pub(crate) struct Place {
    registry: Weak<Inner>,
    id: String,
    internal: bool,
    number: u64,
}

impl Place {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        let mut state = registry.state.lock();
        let listing = state.listing(self.internal);
        listing.numbers.remove(&self.id);
        let removed = listing.threads.remove(&self.number);
        drop(state);
        // The last handle of the thread, perhaps.
        drop(removed);
    }
}

/// What `query-iothreads` returns for the process's registry.
pub fn query_iothreads() -> Vec<IoThreadInfo> {
    Registry::global().query_iothreads()
}

/// What `x-query-internal-iothreads` returns for the process's registry.
pub fn query_internal_iothreads() -> Vec<IoThreadInfo> {
    Registry::global().query_internal_iothreads()
}
