//! Who holds an IOThread: the records, and the life of the thread as far as they decide it.
//!
//! - `table`: the records themselves, without locks.
//! - `attachment`: what the user behind a record has registered on the context; made with the first use of it.
//!
//! Recording a holder, releasing one and closing the list are one critical section each. So a thread
//! can only be closed while nobody holds it, and nobody can come to hold a closed one.

mod attachment;
mod table;

use thiserror::Error;

pub(crate) use self::attachment::{Attachment, Registration, Running};
use self::table::{Origin, Table};
use crate::holder;
use crate::qapi::IoThreadHolder;
use crate::slab::Key;
use crate::sync::Mutex;

/// The kinds of holders; the values of the tag of [`IoThreadHolder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HolderKind {
    /// A QOM object, by its path.
    QomObject,
    /// A block node, by its node name.
    BlockNode,
    /// A block export, by its id.
    BlockExport,
    /// A monitor, by its name.
    Monitor,
}

impl HolderKind {
    /// Every kind, in the order of the schema.
    pub const ALL: [Self; 4] = [
        Self::QomObject,
        Self::BlockNode,
        Self::BlockExport,
        Self::Monitor,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QomObject => "qom-object",
            Self::BlockNode => "block-node",
            Self::BlockExport => "block-export",
            Self::Monitor => "monitor",
        }
    }

    /// The holder of this kind and that name.
    fn holder(self, name: &str) -> IoThreadHolder {
        match self {
            Self::QomObject => holder::qom_object(name),
            Self::BlockNode => holder::block_node(name),
            Self::BlockExport => holder::block_export(name),
            Self::Monitor => holder::monitor(name),
        }
    }
}

/// How many holders of each kind an IOThread has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HolderCounts([usize; HolderKind::ALL.len()]);

impl HolderCounts {
    /// The number of holders of one kind.
    pub fn of(&self, kind: HolderKind) -> usize {
        self.0[kind as usize]
    }

    /// The number of holders of all kinds.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }
}

/// Why an IOThread could not be taken hold of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoldError {
    /// The IOThread has been deleted.
    #[error("object '{id}' not found")]
    Deleted {
        /// Id of the IOThread.
        id: String,
    },
    /// The holder is of a kind that this side does not know.
    #[error("holder of unknown type '{kind}' cannot be recorded")]
    UnknownKind {
        /// Name of the kind.
        kind: String,
    },
}

/// Why a holder could not be released.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum UnrefError {
    /// No equal record made by `ref_holder` is left.
    #[error("IOThread '{id}' is not held by {}", describe(.holder))]
    NotHeld {
        /// Id of the IOThread.
        id: String,
        /// The holder that was to be released.
        holder: IoThreadHolder,
    },
    /// The holder is of a kind that this side does not know.
    #[error("holder of unknown type '{kind}' cannot be released")]
    UnknownKind {
        /// Name of the kind.
        kind: String,
    },
}

/// A holder's kind and its name; the name of the kind where it is unknown.
pub(crate) fn identity(holder: &IoThreadHolder) -> Result<(HolderKind, &str), &str> {
    match holder {
        IoThreadHolder::QomObject(object) => Ok((HolderKind::QomObject, &object.qom_path)),
        IoThreadHolder::BlockNode(node) => Ok((HolderKind::BlockNode, &node.node_name)),
        IoThreadHolder::BlockExport(export) => Ok((HolderKind::BlockExport, &export.export_id)),
        IoThreadHolder::Monitor(monitor) => Ok((HolderKind::Monitor, &monitor.monitor_name)),
        IoThreadHolder::Unknown(kind) => Err(kind),
    }
}

fn known_kind(holder: &IoThreadHolder) -> Result<HolderKind, RecordError> {
    match identity(holder) {
        Ok((kind, _)) => Ok(kind),
        Err(kind) => Err(RecordError::UnknownKind(kind.to_owned())),
    }
}

fn describe(holder: &IoThreadHolder) -> String {
    match identity(holder) {
        Ok((kind, name)) => format!("{} '{name}'", kind.as_str()),
        Err(kind) => format!("a holder of unknown type '{kind}'"),
    }
}

/// The holders of one IOThread.
#[derive(Debug)]
pub(crate) struct Holders {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table,
    life: Life,
}

/// Whether the IOThread can be held, and what the last release means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
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
    Held,
    AlreadyClosed,
}

/// Why a holder was not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordError {
    Closed,
    UnknownKind(String),
}

impl Holders {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                table: Table::default(),
                life: Life::Open,
            }),
        }
    }

    /// Records `holder` for a guard, which releases it by the key.
    pub(crate) fn record_guard(&self, holder: IoThreadHolder) -> Result<Key, RecordError> {
        self.record(holder, Origin::Guard)
    }

    /// Records `holder` until an equal one is released by name.
    pub(crate) fn record_named(&self, holder: IoThreadHolder) -> Result<(), RecordError> {
        self.record(holder, Origin::Named).map(|_| ())
    }

    fn record(&self, holder: IoThreadHolder, origin: Origin) -> Result<Key, RecordError> {
        let kind = known_kind(&holder)?;
        let mut state = self.state.lock();
        if state.life == Life::Closed {
            // Freed outside the lock, as below.
            drop(state);
            drop(holder);
            return Err(RecordError::Closed);
        }
        Ok(state.table.insert(holder, kind, origin))
    }

    /// What a guard's record says.
    pub(crate) fn recorded(&self, key: Key) -> Option<IoThreadHolder> {
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
        let released = state.after_release();
        drop(state);
        // Freed outside the lock, so that others do not wait for the allocator.
        drop(record);
        released
    }

    /// Releases the most recent equal record that was made by name. `Ok(None)` if there is none, the
    /// name of the kind if that is unknown.
    pub(crate) fn release_named(
        &self,
        holder: &IoThreadHolder,
    ) -> Result<Option<Released>, String> {
        let (kind, name) = identity(holder)?;
        let mut state = self.state.lock();
        let Some(record) = state.table.remove_named(kind, name) else {
            return Ok(None);
        };
        let released = state.after_release();
        drop(state);
        drop(record);
        Ok(Some(released))
    }

    /// Forbids further holders, provided there are none, or none but those that `allowed` says.
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
            return Err(CloseError::Held);
        }
        state.life = Life::Closed;
        Ok(())
    }

    /// Says that no handle to the thread is left: whoever releases the last record ends it.
    pub(crate) fn abandon(&self) -> Released {
        let mut state = self.state.lock();
        if state.life == Life::Open {
            state.life = Life::Abandoned;
        }
        state.after_release()
    }

    /// The holders at one moment, newest first.
    pub(crate) fn snapshot(&self) -> Vec<IoThreadHolder> {
        // Others wait for the names to be copied into one buffer, not for an allocation each.
        let (names, ends) = {
            let state = self.state.lock();
            let mut names = String::new();
            let mut ends = Vec::with_capacity(state.table.len());
            for (kind, name) in state.table.newest_first() {
                names.push_str(name);
                ends.push((kind, names.len()));
            }
            (names, ends)
        };
        let mut start = 0;
        let mut holders = Vec::with_capacity(ends.len());
        for (kind, end) in ends {
            holders.push(kind.holder(&names[start..end]));
            start = end;
        }
        holders
    }

    pub(crate) fn counts(&self) -> HolderCounts {
        HolderCounts(self.state.lock().table.counts())
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
    use crate::sync::{Arc, AtomicBool, Ordering};

    /// Small enough for an interpreter that checks every memory access.
    const N_ROUNDS: usize = if cfg!(miri) { 10 } else { 10_000 };

    #[test]
    fn threads_record_and_release_at_once() {
        let holders = Holders::new();
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
                        assert_eq!(released, Ok(Some(Released::StillWanted)));
                        assert_eq!(holders.release_named(&own), Ok(None));
                    }
                });
            }
        });
        assert!(holders.snapshot().is_empty());
        assert_eq!(holders.close(Allowed::None), Ok(()));
    }

    #[test]
    fn a_holder_that_leaves_is_listed_and_lets_the_thread_be_closed() {
        let holders = Holders::new();
        let key = holders.record_guard(holder::block_export("e0")).unwrap();
        assert_eq!(holders.close(Allowed::Leaving), Err(CloseError::Held));
        holders.leave_guard(key);
        assert_eq!(holders.close(Allowed::None), Err(CloseError::Held));
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
