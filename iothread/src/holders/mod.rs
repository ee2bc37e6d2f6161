//! Who holds an IOThread: the records, and the life of the thread as far as they decide it.
//!
//! - `table`: the records themselves, without locks.
//! - `attachment`: what the user behind a record has registered on the context; made with the first use of it.
//!
//! Recording a holder, releasing one and closing the list are one critical section each. So a thread
//! can only be closed while it has no holder, and a closed one gets no new holder.

mod attachment;
mod table;

use std::fmt;

use thiserror::Error;

pub(crate) use self::attachment::{Attachment, Registration, Running};
use self::table::{Origin, Table};
use crate::holder::{Holder, HolderChangeKind, HolderCounts};
use crate::slab::Key;
use crate::sync::Mutex;

/// Why an IOThread could not be taken hold of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoldError {
    /// The IOThread has been deleted.
    #[error("IOThread '{id}' has been deleted")]
    Deleted {
        /// Id of the IOThread.
        id: String,
    },
}

/// Why a holder could not be released.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnrefError {
    /// No equal record made by `ref_holder` is left.
    #[error("IOThread '{id}' is not held by {holder}")]
    NotHeld {
        /// Id of the IOThread.
        id: String,
        /// The holder that was to be released.
        holder: Holder,
    },
}

/// The holders of one IOThread.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    state: Mutex<State>,
    hook: Option<ChangeHook>,
}

/// Is told of each change in the step that records it, with the records locked.
pub(crate) struct ChangeHook(pub(crate) Box<Tell>);

type Tell = dyn Fn(&Holder, HolderChangeKind) + Send + Sync;

impl fmt::Debug for ChangeHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeHook")
    }
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    life: Life,
}

/// Whether the IOThread can be held, and what the last release means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Life {
    #[default]
    Open,
    /// No handle is left; the last release ends the thread.
    Abandoned,
    /// Deleted; holds nothing and never will again.
    Closed,
}

/// What became of the thread with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Released {
    StillWanted,
    /// Nothing can reach the thread any more.
    EndThread,
}

/// Which holders do not keep a list from being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    None,
    /// Those that are released, and go when nothing of them is left.
    Leaving,
}

/// Why the list of holders could not be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseError {
    /// By so many.
    Held(usize),
    AlreadyClosed,
}

impl Holders {
    /// Records whose changes are told, if there is somebody to tell.
    pub(crate) fn new(hook: Option<ChangeHook>) -> Self {
        Self {
            hook,
            ..Self::default()
        }
    }

    fn tell(&self, holder: &Holder, kind: HolderChangeKind) {
        if let Some(ChangeHook(hook)) = &self.hook {
            hook(holder, kind);
        }
    }

    /// Records `holder` for a guard, which releases it by the key; `None` if the list is closed.
    pub(crate) fn record_guard(&self, holder: Holder) -> Option<Key> {
        self.record(holder, Origin::Guard)
    }

    /// Records `holder` until an equal one is released by name; `None` if the list is closed.
    pub(crate) fn record_named(&self, holder: Holder) -> Option<()> {
        self.record(holder, Origin::Named).map(|_| ())
    }

    fn record(&self, holder: Holder, origin: Origin) -> Option<Key> {
        let mut state = self.state.lock();
        if state.life == Life::Closed {
            // Freed outside the lock, as below.
            drop(state);
            drop(holder);
            return None;
        }
        self.tell(&holder, HolderChangeKind::Attached);
        Some(state.table.insert(holder, origin))
    }

    /// What a guard's record says.
    pub(crate) fn recorded(&self, key: Key) -> Option<Holder> {
        self.state.lock().table.get(key).cloned()
    }

    /// Says that a guard's record goes as soon as nothing of its holder is left. It is listed until then, and does not keep
    /// the thread from being deleted.
    pub(crate) fn leave_guard(&self, key: Key) {
        self.state.lock().table.leave(key);
    }

    /// Releases a guard's record.
    pub(crate) fn release_guard(&self, key: Key) -> Released {
        let mut state = self.state.lock();
        let record = state.table.remove(key);
        if let Some(holder) = &record {
            self.tell(holder, HolderChangeKind::Detached);
        }
        let released = state.after_release();
        drop(state);
        // Freed outside the lock, so that others do not wait for the allocator.
        drop(record);
        released
    }

    /// Releases the most recent equal record that was made by name; `None` if there is no such record.
    pub(crate) fn release_named(&self, holder: &Holder) -> Option<Released> {
        let mut state = self.state.lock();
        let record = state.table.remove_named(holder)?;
        self.tell(&record, HolderChangeKind::Detached);
        let released = state.after_release();
        drop(state);
        drop(record);
        Some(released)
    }

    /// Forbids further holders, provided there are no holders now, except those that `allowed` names.
    pub(crate) fn close(&self, allowed: Allowed) -> Result<(), CloseError> {
        let mut state = self.state.lock();
        if state.life == Life::Closed {
            return Err(CloseError::AlreadyClosed);
        }
        let n_in_the_way = match allowed {
            Allowed::None => state.table.len(),
            Allowed::Leaving => state.table.n_staying(),
        };
        if n_in_the_way > 0 {
            return Err(CloseError::Held(n_in_the_way));
        }
        state.life = Life::Closed;
        Ok(())
    }

    /// Says that no handle to the thread is left: the release of the last record ends it.
    pub(crate) fn abandon(&self) -> Released {
        let mut state = self.state.lock();
        if state.life == Life::Open {
            state.life = Life::Abandoned;
        }
        state.after_release()
    }

    /// The holders at one moment, newest first.
    pub(crate) fn snapshot(&self) -> Vec<Holder> {
        let state = self.state.lock();
        state.table.newest_first().cloned().collect()
    }

    /// At most so many holders at one moment, the newest.
    pub(crate) fn newest(&self, most: usize) -> Vec<Holder> {
        let state = self.state.lock();
        state.table.newest_first().take(most).cloned().collect()
    }

    pub(crate) fn counts(&self) -> HolderCounts {
        self.state.lock().table.counts().clone()
    }
}

impl State {
    fn after_release(&mut self) -> Released {
        if self.life == Life::Abandoned && self.table.len() == 0 {
            self.life = Life::Closed;
            Released::EndThread
        } else {
            Released::StillWanted
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::holder;
    use crate::sync::{Arc, AtomicBool, Ordering};

    /// Small enough for an interpreter that checks every memory access.
    const N_ROUNDS: usize = if cfg!(miri) { 10 } else { 10_000 };

    #[test]
    fn threads_record_and_release_at_once() {
        let holders = Holders::default();
        std::thread::scope(|scope| {
            for number in 0..3 {
                let holders = &holders;
                scope.spawn(move || {
                    let own = holder::monitor(format!("m{number}"));
                    for _ in 0..N_ROUNDS {
                        let key = holders.record_guard(own.clone()).unwrap();
                        assert_eq!(holders.recorded(key).as_ref(), Some(&own));
                        holders.record_named(holder::monitor("shared")).unwrap();
                        assert!(holders.snapshot().contains(&own));
                        assert_eq!(holders.release_guard(key), Released::StillWanted);
                        assert_eq!(holders.recorded(key), None);
                        let released = holders.release_named(&holder::monitor("shared"));
                        assert_eq!(released, Some(Released::StillWanted));
                        assert_eq!(holders.release_named(&own), None);
                    }
                });
            }
        });
        assert!(holders.snapshot().is_empty());
        assert_eq!(holders.close(Allowed::None), Ok(()));
    }

    #[test]
    fn a_holder_that_leaves_is_listed_and_lets_the_thread_be_closed() {
        let holders = Holders::default();
        let key = holders.record_guard(holder::block_export("e0")).unwrap();
        assert_eq!(holders.close(Allowed::Leaving), Err(CloseError::Held(1)));
        holders.leave_guard(key);
        assert_eq!(holders.close(Allowed::None), Err(CloseError::Held(1)));
        assert_eq!(holders.close(Allowed::Leaving), Ok(()));
        assert_eq!(holders.snapshot(), [holder::block_export("e0")]);
        assert_eq!(holders.release_guard(key), Released::StillWanted);
        assert!(holders.snapshot().is_empty());
    }

    #[test]
    fn an_attachment_is_over_with_the_last_activity_and_accepts_none_after_its_release() {
        let attachment = Attachment::new(None);
        assert!(attachment.begin());
        assert!(attachment.begin());
        assert!(!attachment.end());
        let leaving = attachment.release().unwrap();
        assert!(!leaving.idle);
        assert!(!attachment.begin());
        assert!(!attachment.end());
        assert!(attachment.end());
        let idle = Attachment::new(None);
        assert!(idle.release().unwrap().idle);
        assert!(idle.end());
    }

    #[test]
    fn a_released_attachment_ends_its_registrations_and_takes_no_more() {
        struct Flag(AtomicBool);
        impl Registration for Flag {
            fn cancel(&self) {
                assert!(!self.0.swap(true, Ordering::AcqRel), "cancelled twice");
            }
        }
        let attachment = Attachment::new(None);
        let flags = [(); 3].map(|()| Arc::new(Flag(AtomicBool::new(false))));
        let keys = flags
            .each_ref()
            .map(|flag| attachment.register(Arc::<Flag>::clone(flag)).unwrap());
        attachment.unregister(keys[1]);
        assert!(attachment.release().is_some());
        assert!(attachment.release().is_none());
        let cancelled = flags.each_ref().map(|flag| flag.0.load(Ordering::Acquire));
        assert_eq!(cancelled, [true, false, true]);
        assert!(attachment.register(Arc::<Flag>::clone(&flags[0])).is_none());
        assert_eq!(Arc::strong_count(&flags[0]), 1);
    }
}
