//! Mutexes whose state is good although a thread that held them has panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. What is locked in this crate is never left half done, so a panic while it was locked does no harm.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
