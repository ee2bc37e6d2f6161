//! A value that another thread makes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A value that is there later. Clones are of the same value.
#[derive(Debug)]
pub(super) struct Later<T>(Arc<(Mutex<Option<Arc<T>>>, Condvar)>);

impl<T> Later<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(None), Condvar::new())))
    }

    pub(super) fn set(&self, value: T) {
        let (slot, is_set) = &*self.0;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(value));
        is_set.notify_all();
    }

    /// The value, if it is there within this time.
    pub(super) fn wait(&self, patience: Duration) -> Option<Arc<T>> {
        let (slot, is_set) = &*self.0;
        let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = is_set.wait_timeout_while(slot, patience, |slot| slot.is_none());
        let (slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        slot.clone()
    }
}

impl<T> Clone for Later<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
