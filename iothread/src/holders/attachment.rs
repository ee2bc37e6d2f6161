//! What one user of a context has registered there, and whether it still may.

use std::fmt;

use crate::qapi::IoThreadHolder;
use crate::slab::{Key, Slab};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// One user's connection to a context: a recorded holder, or the main context's own code.
pub(crate) struct Attachment {
    /// A copy of what is recorded; `None` on a context that needs no holder.
    holder: Option<IoThreadHolder>,
    /// Set once, with `registrations` locked.
    released: AtomicBool,
    /// `None` before the first registration and after the release.
    registrations: Mutex<Option<Registrations>>,
}

type Registrations = Slab<Arc<dyn Registration>>;

/// Something registered on a context that ends with its attachment.
pub(crate) trait Registration: Send + Sync {
    /// Makes sure that no callback of the registration starts any more.
    fn cancel(&self);
}

impl Attachment {
    pub(crate) fn new(holder: Option<IoThreadHolder>) -> Self {
        Self {
            holder,
            released: AtomicBool::new(false),
            registrations: Mutex::new(None),
        }
    }

    pub(crate) fn holder(&self) -> Option<&IoThreadHolder> {
        self.holder.as_ref()
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Remembers a registration; `None` once the attachment is released.
    pub(crate) fn register(&self, registration: Arc<dyn Registration>) -> Option<Key> {
        let mut registrations = self.registrations.lock();
        if self.is_released() {
            return None;
        }
        Some(registrations.get_or_insert_default().insert(registration))
    }

    /// Forgets a registration that has ended by itself.
    pub(crate) fn unregister(&self, key: Key) {
        let mut registrations = self.registrations.lock();
        let registration = registrations.as_mut().and_then(|slab| slab.remove(key));
        // The last reference may drop a callback, which may come back here.
        drop(registrations);
        drop(registration);
    }

    /// Ends all registrations, and forbids new ones.
    pub(crate) fn release(&self) {
        let registrations = {
            let mut registrations = self.registrations.lock();
            self.released.store(true, Ordering::Release);
            registrations.take()
        };
        for registration in registrations.into_iter().flat_map(|mut slab| slab.drain()) {
            registration.cancel();
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}
