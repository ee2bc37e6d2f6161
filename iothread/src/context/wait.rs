//! Who waits for whom: no wait of this crate may be for the thread that waits.
//!
//! Each thread that others may wait for notes what it waits for itself: the threads that run loops, and the workers. A
//! wait is looked at before it begins, and refused if what it is for can only come after the caller has gone on. Who
//! closes a circle is refused, so that no circle ever comes into being, however many threads it would take.

use std::cell::Cell;
use std::collections::HashMap;
use std::thread::{self, ThreadId};

use super::pool::Outlook;
use crate::holders::Attachment;
use crate::slab::{Key, Slab};
use crate::sync::{Arc, Mutex, OnceLock};

thread_local! {
    /// Whether another thread may ever wait for this one.
    static IS_AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// A loop, as the search for circles sees it.
pub(crate) trait Awaited: Send + Sync {
    /// The thread that alone runs the loop.
    fn owner(&self) -> Option<ThreadId>;

    /// The work of one user or of all.
    fn work(&self, user: Option<usize>) -> Outlook;

    /// What others have still to deliver to one user or to all.
    fn deliveries(&self) -> &Deliveries;
}

/// What a thread waits for.
#[derive(Clone)]
pub(crate) enum Target {
    /// That the loop runs a closure.
    Loop(Arc<dyn Awaited>),
    /// That nothing is left of a user who has been released.
    Holder(Arc<dyn Awaited>, Arc<Attachment>),
    /// The end of the loop, which another thread runs.
    End(Arc<dyn Awaited>),
    /// What others have still to deliver to a loop, which the waiting thread runs itself.
    Rest(Arc<dyn Awaited>),
}

/// A wait that is under way.
pub(crate) struct Wait(Option<Noted>);

struct Noted {
    thread: ThreadId,
    /// What the thread waits for as soon as this wait is over: a loop that runs to its end runs callbacks.
    outer: Option<Target>,
}

fn waits() -> &'static Mutex<HashMap<ThreadId, Target>> {
    static WAITS: OnceLock<Mutex<HashMap<ThreadId, Target>>> = OnceLock::new();
    WAITS.get_or_init(Mutex::default)
}

/// Says that others may wait for the calling thread from now on. Returns what it is called here.
pub(super) fn await_this_thread() -> ThreadId {
    IS_AWAITED.set(true);
    thread::current().id()
}

impl Wait {
    /// Announces that this thread is going to wait. `None` if that would be for itself.
    pub(crate) fn begin(target: impl FnOnce() -> Target) -> Option<Self> {
        if !IS_AWAITED.get() {
            // This thread is not waited for, so it is in no circle.
            return Some(Self(None));
        }
        let thread = thread::current().id();
        let target = target();
        let mut seen = Vec::new();
        let mut waits = waits().lock();
        let closes_circle = Search {
            waits: &waits,
            waiting: thread,
            known: HashMap::new(),
            seen: &mut seen,
        }
        .target(&target);
        let wait = (!closes_circle).then(|| {
            let outer = waits.insert(thread, target.clone());
            Self(Some(Noted { thread, outer }))
        });
        // What was looked at may be the last reference to a loop by now, whose end runs foreign code.
        drop(waits);
        wait
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(Noted { thread, outer }) = self.0.take() else {
            return;
        };
        let mut waits = waits().lock();
        let ended = match outer {
            Some(outer) => waits.insert(thread, outer),
            None => waits.remove(&thread),
        };
        drop(waits);
        // The last reference to a loop, perhaps.
        drop(ended);
    }
}

/// Looks for the thread that wants to wait among those that it would wait for.
struct Search<'w> {
    waits: &'w HashMap<ThreadId, Target>,
    waiting: ThreadId,
    known: HashMap<ThreadId, bool>,
    /// Keeps what was looked at, until the lock is given back.
    seen: &'w mut Vec<Target>,
}

impl Search<'_> {
    /// Whether `target` cannot come before the waiting thread goes on.
    fn target(&mut self, target: &Target) -> bool {
        match target {
            Target::Loop(awaited) => self.loop_of(awaited),
            Target::Holder(awaited, user) => {
                self.loop_of(awaited) || self.rest(awaited, Some(user.id()))
            }
            Target::End(awaited) => self.loop_of(awaited) || self.rest(awaited, None),
            Target::Rest(awaited) => self.rest(awaited, None),
        }
    }

    fn loop_of(&mut self, awaited: &Arc<dyn Awaited>) -> bool {
        awaited.owner().is_some_and(|thread| self.thread(thread))
    }

    /// Work and deliveries, of one user or of all.
    fn rest(&mut self, awaited: &Arc<dyn Awaited>, user: Option<usize>) -> bool {
        let work = awaited.work(user);
        work.running.into_iter().any(|worker| self.thread(worker))
            || work
                .queued_for
                .is_some_and(|workers| workers.into_iter().all(|worker| self.thread(worker)))
            || awaited
                .deliveries()
                .sources(user)
                .into_iter()
                .any(|source| {
                    let waits = self.target(&source);
                    self.seen.push(source);
                    waits
                })
    }

    /// Whether `thread` waits for the waiting one, or is it.
    fn thread(&mut self, thread: ThreadId) -> bool {
        if thread == self.waiting {
            return true;
        }
        if let Some(known) = self.known.get(&thread) {
            return *known;
        }
        // The waits that are under way have no circle, so this is not asked before it is known.
        self.known.insert(thread, false);
        let waits = self.waits;
        let outcome = waits.get(&thread).is_some_and(|target| self.target(target));
        self.known.insert(thread, outcome);
        outcome
    }
}

/// What a context has accepted that comes when something on another one is over.
#[derive(Default)]
pub(crate) struct Deliveries(Mutex<Slab<(usize, Target)>>);

impl Deliveries {
    /// Notes that a user waits for `from`.
    pub(super) fn insert(&self, attachment: usize, from: Target) -> Key {
        self.0.lock().insert((attachment, from))
    }

    pub(super) fn remove(&self, key: Key) {
        let removed = self.0.lock().remove(key);
        drop(removed);
    }

    /// What is waited for on behalf of one user or of all.
    fn sources(&self, attachment: Option<usize>) -> Vec<Target> {
        let deliveries = self.0.lock();
        deliveries
            .iter()
            .filter(|(_, (of, _))| attachment.is_none_or(|attachment| attachment == *of))
            .map(|(_, (_, from))| from.clone())
            .collect()
    }
}
