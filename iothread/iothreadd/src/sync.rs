//! The one place that synchronisation primitives come from where `tests/models` tries what threads do at once: it puts loom's in
//! their place.
//!
//! The lock does not spread panics: every state it guards is valid between statements.
//!
//! Locks are taken in this order, each only while those before it may be held: a client's or connection's own state; what knows all
//! clients (`nbd::places`, the sessions of a monitor); the door of a listener ([`net::door`](crate::net::door)); what is to be done in
//! the end ([`finally`](crate::finally)). Nothing that may wait runs under any of them.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{MutexGuard, PoisonError};

/// A mutex that is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
