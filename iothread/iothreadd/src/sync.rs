//! The one place that synchronisation primitives come from where `tests/models` tries what threads do at once: it puts loom's in
//! their place.
//!
//! The lock does not spread panics: every state it guards is valid between statements.
//!
//! Locks are taken in one order, that of [`Level`]. Nothing that may wait runs under any of them.

use std::ops::{Deref, DerefMut};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

/// The order of locks: one is taken while others are held only if all of these are of earlier levels, so no two threads can wait for
/// each other. Where assertions are on, each lock is checked that has been told its level.
///
/// A lock without a level is the last one: what it guards is looked at or changed at once, and no lock is taken meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A session of a monitor, that of a program or of people, which executes commands.
    Session,
    /// What knows all of a kind: monitors, character devices, the offers of the NBD server, the client of a vhost-user export.
    List,
    /// A connection: of an NBD or vhost-user client, of a character device, of a comparison, to a vfio-user server.
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
}

/// A mutex that is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: std::sync::Mutex<T>,
    level: Option<Level>,
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
        Self {
            inner: std::sync::Mutex::new(value),
            level: None,
        }
    }

    /// One that others may be taken under.
    pub(crate) fn at(level: Level, value: T) -> Self {
        Self {
            level: Some(level),
            ..Self::new(value)
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

/// A lock of one who writes or many who read, never poisoned. It guards no data but what is done while it is held, and no lock with a
/// level is taken under it.
#[derive(Debug, Default)]
pub(crate) struct RwLock(std::sync::RwLock<()>);

impl RwLock {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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
    pub(super) struct Held(Option<Level>);

    impl Held {
        pub(super) fn begin(level: Option<Level>) -> Self {
            if let Some(level) = level {
                // A thread that ends has no list any more, and no other locks.
                let last = HELD.try_with(|held| held.borrow().iter().max().copied());
                let last = last.ok().flatten();
                assert!(
                    last.is_none_or(|last| last < level),
                    "a lock of level {level:?} is taken under one of {last:?}"
                );
                let _ = HELD.try_with(|held| held.borrow_mut().push(level));
            }
            Self(level)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            if let Some(level) = self.0 {
                let _ = HELD.try_with(|held| {
                    let mut held = held.borrow_mut();
                    let index = held.iter().rposition(|it| *it == level);
                    index.map(|index| held.remove(index))
                });
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod order {
    use super::Level;

    #[derive(Debug)]
    pub(super) struct Held;

    impl Held {
        pub(super) fn begin(_: Option<Level>) -> Self {
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
        // Nothing is left of what was refused, nor of what was given up in another order.
        let first = list.lock();
        let second = graph.lock();
        drop(first);
        assert!(is_refused(&Mutex::at(Level::Users, ()), &list));
        drop(second);
        assert!(!is_refused(&list, &graph));
    }
}
