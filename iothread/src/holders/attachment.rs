//! What one user of a context has there: registrations, and what is accepted and not over; and whether it still may.

use crate::ending::Ending;
use crate::holder::Holder;
use crate::slab::{Key, Slab};
use crate::sync::{Arc, AtomicUsize, Mutex, OnceLock, Ordering};

/// One user's connection to a context: a recorded holder, or the main context's own code.
#[derive(Default)]
pub(crate) struct Attachment {
    /// A copy of what is recorded; `None` on a context that needs no holder.
    holder: Option<Holder>,
    /// The number of closures and pieces of work that were accepted and are not over, and [`RELEASED`]. One number, so
    /// that something is either refused or waited for.
    activity: AtomicUsize,
    registered: Mutex<Registered>,
    /// Who is to be told when nothing is left that was accepted; [`WAITED`] says that there is somebody.
    idle: Mutex<Vec<Callback>>,
    over: Ending,
    /// Its place among the users of the context.
    place: OnceLock<Key>,
}

/// What a user has registered.
#[derive(Default)]
struct Registered {
    /// `None` before the first registration and after the release.
    entries: Option<Registrations>,
    /// How many pauses are under way.
    n_pauses: usize,
}

/// What is done when nothing is left: it must not block, and takes no lock that is held where that is told.
type Callback = Box<dyn FnOnce() + Send>;

/// Added to the activity by the release, which happens with `registered` locked.
const RELEASED: usize = 1 << (usize::BITS - 1);
/// Set in the activity while somebody waits for its end.
const WAITED: usize = 1 << (usize::BITS - 2);

type Registrations = Slab<Arc<dyn Registration>>;

/// Something registered on a context that ends with its attachment.
pub(crate) trait Registration: Send + Sync {
    /// Makes sure that no callback of the registration starts any more. May be called more than once.
    fn cancel(&self);

    /// Makes sure that no callback of the registration starts until it is resumed.
    fn pause(&self) {}

    /// Lets callbacks run again, those that were held back first.
    fn resume(self: Arc<Self>) {}
}

/// What a release has found. Who gets it has to call [`Attachment::end`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Leaving {
    /// Whether nothing was left that had been accepted.
    pub(crate) idle: bool,
}

impl Attachment {
    pub(crate) fn new(holder: Option<Holder>) -> Self {
        Self {
            holder,
            ..Self::default()
        }
    }

    pub(crate) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    pub(crate) fn is_released(&self) -> bool {
        self.activity.load(Ordering::Acquire) & RELEASED != 0
    }

    /// Tells the attachment from others while it exists.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Counts something that is accepted, which then owes one [`end`](Self::end). False once the attachment is released.
    #[must_use]
    pub(crate) fn begin(&self) -> bool {
        let accept = |activity: usize| (activity & RELEASED == 0).then_some(activity + 1);
        self.activity
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, accept)
            .is_ok()
    }

    /// Says that something accepted is over. True for the last one after the release, whose caller calls [`finish`](Self::finish).
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        let before = self.activity.fetch_sub(1, Ordering::AcqRel);
        if before & WAITED != 0 && before & !(WAITED | RELEASED) == 1 {
            self.tell_idle();
        }
        before & !WAITED == RELEASED + 1
    }

    /// Calls `callback` when nothing is left that was accepted; now, if nothing is. What is accepted after that moment does not count.
    pub(crate) fn when_idle(&self, callback: impl FnOnce() + Send + 'static) {
        let is_idle = {
            let mut idle = self.idle.lock();
            idle.push(Box::new(callback));
            // The thread that ends the last thing afterwards sees the bit.
            let before = self.activity.fetch_or(WAITED, Ordering::AcqRel);
            before & !(WAITED | RELEASED) == 0
        };
        if is_idle {
            self.tell_idle();
        }
    }

    fn tell_idle(&self) {
        let callbacks = {
            let mut idle = self.idle.lock();
            self.activity.fetch_and(!WAITED, Ordering::AcqRel);
            std::mem::take(&mut *idle)
        };
        for callback in callbacks {
            callback();
        }
    }

    /// Its place among the users of the context.
    pub(crate) fn place(&self) -> &OnceLock<Key> {
        &self.place
    }

    /// Lets no callback of what is registered, or will be, start until as many [`resume`](Self::resume) have come.
    pub(crate) fn pause(&self) {
        let mut registered = self.registered.lock();
        registered.n_pauses += 1;
        if registered.n_pauses == 1 {
            for (_, registration) in registered.entries.iter().flat_map(Slab::iter) {
                registration.pause();
            }
        }
    }

    pub(crate) fn resume(&self) {
        let mut registered = self.registered.lock();
        registered.n_pauses -= 1;
        if registered.n_pauses == 0 {
            for (_, registration) in registered.entries.iter().flat_map(Slab::iter) {
                Arc::clone(registration).resume();
            }
        }
    }

    /// What happens when the attachment is released and nothing of it is left.
    pub(crate) fn over(&self) -> &Ending {
        &self.over
    }

    /// Remembers a registration; `None` once the attachment is released.
    pub(crate) fn register(&self, registration: Arc<dyn Registration>) -> Option<Key> {
        let mut registered = self.registered.lock();
        if self.is_released() {
            return None;
        }
        if registered.n_pauses > 0 {
            registration.pause();
        }
        let entries = registered.entries.get_or_insert_default();
        Some(entries.insert(registration))
    }

    /// Forgets a registration that has ended by itself. It must be cancelled before that: a release waits only for what it finds.
    pub(crate) fn unregister(&self, key: Key) {
        let mut registered = self.registered.lock();
        let entries = registered.entries.as_mut();
        let registration = entries.and_then(|slab| slab.remove(key));
        // The last reference may drop a callback, which may come back here.
        drop(registered);
        drop(registration);
    }

    /// Ends all registrations, and forbids new ones and further activity. `None` if that has been done before.
    pub(crate) fn release(&self) -> Option<Leaving> {
        let (before, registrations) = {
            let mut registered = self.registered.lock();
            if self.is_released() {
                return None;
            }
            let before = self.activity.fetch_add(RELEASED + 1, Ordering::AcqRel);
            (before, registered.entries.take())
        };
        for (_, registration) in registrations.into_iter().flatten() {
            registration.cancel();
        }
        Some(Leaving {
            idle: before & !WAITED == 0,
        })
    }
}

/// Whose registered callback a loop's thread runs right now.
///
/// The loop enters *before* it takes the callback out of its cell, and a release looks *after* it has removed the
/// callback from there. The cell's lock orders the two: either the loop finds no callback, or the release finds the entry.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicUsize);

impl Running {
    /// Says that callbacks of `attachment` may run until the value is dropped. For the loop's thread.
    pub(crate) fn enter(&self, attachment: &Attachment) -> Entered<'_> {
        self.0.store(attachment.id(), Ordering::Relaxed);
        Entered(self)
    }

    /// Whether a callback of `attachment`, removed before this, may still run.
    pub(crate) fn may_be_of(&self, attachment: &Attachment) -> bool {
        self.0.load(Ordering::Acquire) == attachment.id()
    }
}

/// Says, when it is dropped, that the loop's thread runs no registered callback.
pub(crate) struct Entered<'a>(&'a Running);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}
