//! What has changed among the holders of IOThreads: who came and went, when, and by what.
//!
//! A change is noted in the step that records it, under the lock of the thread's holders. So the numbers of changes are in the
//! order in which these happened, and noting one takes constant time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use iothread::{BottomHalf, Holder, HolderChange, HolderChangeKind};
use iothread_qapi::IoThreadHolder;

use crate::cause::Cause;
use crate::qapi::{IoThreadHistory, IoThreadHistoryChange, IoThreadHistoryKind};
use crate::sync::Mutex;

/// The most changes that are remembered.
const MAX_CHANGES: usize = 1_024;

/// The changes of all IOThreads.
#[derive(Default)]
pub(crate) struct History {
    state: Mutex<State>,
    /// Who is told that there are changes, if anybody wants to know.
    listener: OnceLock<BottomHalf>,
}

#[derive(Default)]
struct State {
    /// The number of the last change.
    last: u64,
    changes: VecDeque<Change>,
    /// The last change of each thread of which the listener does not know.
    untold: BTreeMap<String, u64>,
}

struct Change {
    sequence: u64,
    time: SystemTime,
    iothread: Arc<str>,
    holder: Holder,
    kind: HolderChangeKind,
    /// Where it was before, or is now, if it was moved.
    other: Option<Arc<str>>,
    by: Option<Cause>,
}

impl Change {
    /// Whether the two are one move.
    fn moves_on(&self, earlier: &Self) -> bool {
        self.kind != earlier.kind
            && self.by.is_some()
            && self.by == earlier.by
            && self.iothread != earlier.iothread
            && self.holder == earlier.holder
            && earlier.other.is_none()
    }

    fn describe(&self) -> Option<IoThreadHistoryChange> {
        let kind = match (self.kind, &self.other) {
            (HolderChangeKind::Attached, None) => IoThreadHistoryKind::Attached,
            (HolderChangeKind::Attached, Some(_)) => IoThreadHistoryKind::MovedHere,
            (HolderChangeKind::Detached, None) => IoThreadHistoryKind::Detached,
            (HolderChangeKind::Detached, Some(_)) => IoThreadHistoryKind::MovedAway,
        };
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(IoThreadHistoryChange {
            sequence: self.sequence,
            time_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            iothread: self.iothread.to_string(),
            change: kind,
            other_iothread: self.other.as_ref().map(ToString::to_string),
            // All holders of the server are of kinds that the schema has.
            holder: IoThreadHolder::try_from(&self.holder).ok()?,
            by: self.by.map(|cause| cause.name().to_owned()),
        })
    }
}

impl History {
    /// Schedules `listener` whenever there are changes from now on.
    pub(crate) fn tell(&self, listener: BottomHalf) {
        // Said once.
        let _ = self.listener.set(listener);
    }

    /// Notes a change; on any thread, with the holders of one locked.
    pub(crate) fn note(&self, change: &HolderChange<'_>) {
        let mut state = self.state.lock();
        state.last += 1;
        let mut change = Change {
            sequence: state.last,
            time: SystemTime::now(),
            iothread: change.iothread.into(),
            holder: change.holder.clone(),
            kind: change.kind,
            other: None,
            by: Cause::current(),
        };
        if let Some(earlier) = state.changes.back_mut()
            && change.moves_on(earlier)
        {
            earlier.other = Some(Arc::clone(&change.iothread));
            change.other = Some(Arc::clone(&earlier.iothread));
        }
        if let Some(listener) = self.listener.get() {
            let sequence = change.sequence;
            state.untold.insert(change.iothread.to_string(), sequence);
            listener.schedule();
        }
        let oldest = match state.changes.len() {
            MAX_CHANGES => state.changes.pop_front(),
            _ => None,
        };
        state.changes.push_back(change);
        drop(state);
        // Freed outside the lock.
        drop(oldest);
    }

    /// The last change of each thread that has changed since this was asked last.
    pub(crate) fn take_untold(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.state.lock().untold)
    }

    /// `x-query-iothread-history`
    pub(crate) fn query(&self, since: Option<u64>) -> IoThreadHistory {
        let state = self.state.lock();
        let since = since.unwrap_or(0);
        let before = state.last - state.changes.len() as u64;
        let n_known = usize::try_from(since.saturating_sub(before)).unwrap_or(usize::MAX);
        let changes = state.changes.iter().skip(n_known);
        IoThreadHistory {
            sequence: state.last,
            // A number that is yet to come is one of a server before this one.
            gap: since < before || since > state.last,
            changes: changes.filter_map(Change::describe).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use iothread::holder;

    use super::*;

    fn note(history: &History, iothread: &str, name: &str, kind: HolderChangeKind) {
        let holder = holder::block_node(name);
        let holder = &holder;
        history.note(&HolderChange {
            iothread,
            holder,
            kind,
        });
    }

    #[test]
    fn changes_are_numbered_and_what_is_forgotten_is_a_gap() {
        let history = History::default();
        let empty = history.query(None);
        assert_eq!((empty.sequence, empty.gap), (0, false));
        assert!(empty.changes.is_empty());
        assert!(history.query(Some(1)).gap);
        for number in 0..MAX_CHANGES {
            note(
                &history,
                "io0",
                &format!("n{number}"),
                HolderChangeKind::Attached,
            );
        }
        let all = history.query(None);
        assert_eq!((all.sequence, all.gap), (MAX_CHANGES as u64, false));
        assert_eq!(all.changes.len(), MAX_CHANGES);
        note(&history, "io0", "n0", HolderChangeKind::Detached);
        assert!(history.query(None).gap);
        let rest = history.query(Some(1));
        assert!(!rest.gap);
        assert_eq!(rest.changes.len(), MAX_CHANGES);
        assert_eq!(rest.changes[0].sequence, 2);
        let last = history.query(Some(MAX_CHANGES as u64));
        let sequences: Vec<_> = last.changes.iter().map(|it| it.sequence).collect();
        assert_eq!(sequences, [MAX_CHANGES as u64 + 1]);
        let none = history.query(Some(last.sequence));
        assert!(!none.gap && none.changes.is_empty());
    }

    #[test]
    fn what_one_command_takes_from_one_thread_to_another_is_moved() {
        let history = History::default();
        {
            let _within = Cause::new("x-blockdev-set-iothread").enter();
            note(&history, "io0", "n", HolderChangeKind::Attached);
        }
        {
            let _within = Cause::new("x-blockdev-set-iothread").enter();
            note(&history, "io1", "n", HolderChangeKind::Attached);
            note(&history, "io0", "n", HolderChangeKind::Detached);
        }
        note(&history, "io1", "n", HolderChangeKind::Detached);
        let described: Vec<_> = history
            .query(None)
            .changes
            .into_iter()
            .map(|it| (it.change, it.iothread, it.other_iothread, it.by.is_some()))
            .collect();
        let is = |kind, at: &str, other: Option<&str>, by| {
            (kind, at.to_owned(), other.map(str::to_owned), by)
        };
        use IoThreadHistoryKind::{Attached, Detached, MovedAway, MovedHere};
        assert_eq!(
            described,
            [
                is(Attached, "io0", None, true),
                is(MovedHere, "io1", Some("io0"), true),
                is(MovedAway, "io0", Some("io1"), true),
                is(Detached, "io1", None, false),
            ]
        );
    }
}
