//! The one place that synchronisation primitives come from where `tests/models` tries what threads do at once: it puts loom's in
//! their place.
//!
//! The lock does not spread panics: every state it guards is valid between statements.
//!
//! Locks are taken in one order, that of [`Level`]. Nothing that may wait runs under any of them.

use std::ops::{Deref, DerefMut};
pub(crate) use std::sync::Arc;
use std::sync::PoisonError;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

/// The order of locks: one is taken while others are held only if all of these are of earlier levels, so no two threads can wait for
/// each other. Where assertions are on, each lock is checked. There is none without a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A session of a monitor, that of a program or of people, which executes commands.
    Session,
    /// What knows all of a kind: monitors, character devices, the offers of the NBD server, the client of a vhost-user export.
    List,
    /// A connection: of an NBD or vhost-user client, while it haggles and after that, of a character device, of a comparison,
    /// to a vfio-user server.
    Peer,
    /// A queue of a vhost-user client.
    Queue,
    /// The places of NBD clients.
    Places,
    /// Whether a socket is listened on; under it there is its door.
    Listener,
    /// The graph of block nodes.
    Graph,
    /// The users that send requests to a node.
    Users,
    /// A file is given another size; on a worker.
    Resizing,
    /// Blocks of a file that are written in two steps; on a worker.
    Blocks,
    /// All others: what they guard is looked at or changed at once, and no lock is taken meanwhile.
    Last,
}

/// A mutex that is never poisoned.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    inner: std::sync::Mutex<T>,
    level: Level,
}

/// What is guarded, as long as the lock is held.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    // Unlocked before it is forgotten.
    guard: std::sync::MutexGuard<'a, T>,
    _held: order::Held,
}

impl<T> Mutex<T> {
    /// One under which no other lock is taken.
    pub(crate) fn new(value: T) -> Self {
        Self::at(Level::Last, value)
    }

    /// One that others of later levels may be taken under.
    pub(crate) fn at(level: Level, value: T) -> Self {
        Self {
            inner: std::sync::Mutex::new(value),
            level,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // Before it waits: what would wait for ever is told.
        let held = order::Held::begin(self.level);
        MutexGuard {
            guard: self.inner.lock().unwrap_or_else(PoisonError::into_inner),
            _held: held,
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A lock that several may have at once for what they do beside each other. It guards no data.
#[derive(Debug)]
pub(crate) struct RwLock {
    inner: std::sync::RwLock<()>,
    level: Level,
}

/// The lock is held, by others too.
#[derive(Debug)]
pub(crate) struct ReadGuard<'a> {
    _guard: std::sync::RwLockReadGuard<'a, ()>,
    _held: order::Held,
}

/// The lock is held by this thread alone.
#[derive(Debug)]
pub(crate) struct WriteGuard<'a> {
    _guard: std::sync::RwLockWriteGuard<'a, ()>,
    _held: order::Held,
}

impl RwLock {
    pub(crate) fn at(level: Level) -> Self {
        Self {
            inner: std::sync::RwLock::new(()),
            level,
        }
    }

    pub(crate) fn read(&self) -> ReadGuard<'_> {
        let held = order::Held::begin(self.level);
        ReadGuard {
            _guard: self.inner.read().unwrap_or_else(PoisonError::into_inner),
            _held: held,
        }
    }

    pub(crate) fn write(&self) -> WriteGuard<'_> {
        let held = order::Held::begin(self.level);
        WriteGuard {
            _guard: self.inner.write().unwrap_or_else(PoisonError::into_inner),
            _held: held,
        }
    }
}

/// Which locks a thread has.
#[cfg(debug_assertions)]
mod order {
    use std::cell::RefCell;

    use super::Level;

    thread_local! {
        static HELD: RefCell<Vec<Level>> = const { RefCell::new(Vec::new()) };
    }

    /// A lock that this thread has, or waits for.
    #[derive(Debug)]
    pub(super) struct Held(Level);

    impl Held {
        pub(super) fn begin(level: Level) -> Self {
            // A thread that ends has no list any more, and no other locks.
            let last = HELD.try_with(|held| held.borrow().iter().max().copied());
            let last = last.ok().flatten();
            assert!(
                last.is_none_or(|last| last < level),
                "a lock of level {level:?} is taken under one of {last:?}"
            );
            let _ = HELD.try_with(|held| held.borrow_mut().push(level));
            Self(level)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = HELD.try_with(|held| {
                let mut held = held.borrow_mut();
                let index = held.iter().rposition(|it| *it == self.0);
                index.map(|index| held.remove(index))
            });
        }
    }
}

#[cfg(not(debug_assertions))]
mod order {
    use super::Level;

    #[derive(Debug)]
    pub(super) struct Held;

    impl Held {
        pub(super) fn begin(_: Level) -> Self {
            Self
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn locks_are_taken_in_one_order() {
        let _expected = ::tests::panics::expect("is taken under one of");
        let (list, graph) = (Mutex::at(Level::List, ()), Mutex::at(Level::Graph, ()));
        let last = Mutex::new(());
        {
            let _list = list.lock();
            let _graph = graph.lock();
            let _last = last.lock();
        }
        let is_refused = |first: &Mutex<()>, second: &Mutex<()>| {
            let _first = first.lock();
            catch_unwind(AssertUnwindSafe(|| drop(second.lock()))).is_err()
        };
        assert!(is_refused(&graph, &list));
        assert!(is_refused(&graph, &Mutex::at(Level::Graph, ())));
        assert!(is_refused(&last, &Mutex::default()));
        // Nothing is left of what was refused, nor of what was given up in another order.
        let first = list.lock();
        let second = graph.lock();
        drop(first);
        assert!(is_refused(&Mutex::at(Level::Users, ()), &list));
        drop(second);
        assert!(!is_refused(&list, &graph));
        let blocks = RwLock::at(Level::Blocks);
        let _read = blocks.read();
        let written = catch_unwind(AssertUnwindSafe(|| drop(blocks.write())));
        assert!(written.is_err());
    }
}
