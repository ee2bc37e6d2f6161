//! What several threads do at once to the parts of `iothread`, for loom to try in every interleaving.
//!
//! The parts are the library's own files, built once more with loom's primitives for `crate::sync`. What is here are those that
//! synchronise and stand alone. The loop, its timers, file descriptors and the search for circles are not; their tests run on real
//! threads.
//!
//! Three threads each, the model's own included. `cargo xtask test --full` runs them, with `RUSTFLAGS="--cfg loom"`;
//! `LOOM_MAX_PREEMPTIONS` bounds the preemptions, without it there is no bound.
#![cfg(loom)]
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the parts have more than the models use"
)]

mod budget;
mod context;
#[path = "../../../iothread/src/ending.rs"]
mod ending;
mod event;
#[path = "../../../iothread/src/holder.rs"]
mod holder;
#[path = "../../../iothread/src/holders/mod.rs"]
mod holders;
mod sharing;
#[path = "../../../iothread/src/slab.rs"]
mod slab;
#[path = "../sync.rs"]
mod sync;
mod workers;

use loom::thread;

use crate::context::cell::CallbackCell;
use crate::context::inbox::{Closed, Inbox};
use crate::context::schedule::{Schedule, Urgency};
use crate::holders::{Allowed, Attachment, CloseError, Holders, Registration, Released, Running};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering};

#[test]
fn recorded_holders_are_seen_until_they_are_released() {
    loom::model(|| {
        let holders = Arc::new(Holders::default());
        let guards = Arc::clone(&holders);
        let guard = thread::spawn(move || {
            let key = guards.record_guard(holder::monitor("m")).unwrap();
            assert!(guards.snapshot().contains(&holder::monitor("m")));
            assert_eq!(guards.release_guard(key), Released::StillWanted);
        });
        let named = Arc::clone(&holders);
        let pair = thread::spawn(move || {
            // Equal to the guard's, which this must not release.
            named.record_named(holder::monitor("m")).unwrap();
            let released = named.release_named(&holder::monitor("m"));
            assert_eq!(released, Some(Released::StillWanted));
            assert_eq!(named.release_named(&holder::monitor("m")), None);
        });
        let seen = holders.snapshot();
        assert!(seen.len() <= 2);
        assert!(holders.counts().total() <= 2);
        guard.join().unwrap();
        pair.join().unwrap();
        assert!(holders.snapshot().is_empty());
        assert_eq!(holders.counts().total(), 0);
        assert_eq!(holders.close(Allowed::None), Ok(()));
    });
}

#[test]
fn a_thread_is_either_held_or_closed() {
    loom::model(|| {
        let holders = Arc::new(Holders::default());
        let taking = Arc::clone(&holders);
        let taker = thread::spawn(move || match taking.record_guard(holder::monitor("m")) {
            Some(key) => {
                assert_eq!(taking.close(Allowed::None), Err(CloseError::Held(1)));
                let _ = taking.release_guard(key);
                true
            }
            None => {
                assert_eq!(taking.close(Allowed::None), Err(CloseError::AlreadyClosed));
                false
            }
        });
        let closing = Arc::clone(&holders);
        let closer = thread::spawn(move || closing.close(Allowed::None));
        let seen = holders.snapshot().len();
        let taken = taker.join().unwrap();
        match closer.join().unwrap() {
            Ok(()) => assert!(seen == 0 || taken),
            Err(CloseError::Held(_)) => assert!(taken),
            Err(CloseError::AlreadyClosed) => unreachable!("only one thread closes with success"),
        }
        assert!(holders.snapshot().is_empty());
    });
}

#[test]
fn the_last_release_ends_an_abandoned_thread_once() {
    loom::model(|| {
        let holders = Arc::new(Holders::default());
        let keys = [(); 2].map(|()| holders.record_guard(holder::monitor("m")).unwrap());
        let releases = keys.map(|key| {
            let holders = Arc::clone(&holders);
            thread::spawn(move || holders.release_guard(key))
        });
        let mut ends = usize::from(holders.abandon() == Released::EndThread);
        for release in releases {
            ends += usize::from(release.join().unwrap() == Released::EndThread);
        }
        assert_eq!(ends, 1);
        assert!(matches!(holders.record_guard(holder::monitor("m")), None));
    });
}

/// Counts how often it is cancelled.
#[derive(Default)]
struct Cancelled(AtomicUsize);

impl Registration for Cancelled {
    fn cancel(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn a_registration_ends_with_its_attachment_or_is_refused() {
    loom::model(|| {
        let attachment = Arc::new(Attachment::new(None));
        let registering = Arc::clone(&attachment);
        let register = thread::spawn(move || {
            let registration = Arc::new(Cancelled::default());
            let taken = registering.register(Arc::<Cancelled>::clone(&registration));
            (registration, taken.is_some())
        });
        let ending = Arc::clone(&attachment);
        let other = thread::spawn(move || {
            let registration = Arc::new(Cancelled::default());
            if let Some(key) = ending.register(registration) {
                ending.unregister(key);
            }
        });
        assert!(attachment.release().is_some());
        other.join().unwrap();
        let (registration, taken) = register.join().unwrap();
        assert_eq!(registration.0.load(Ordering::Acquire), usize::from(taken));
    });
}

/// A loop's wait: asleep unless notified.
fn wait<T>(inbox: &Inbox<T>) {
    if inbox.notifier().prepare_sleep() {
        inbox.notifier().event().wait();
    }
    inbox.notifier().clear();
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let producers = [1, 2].map(|item| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.push(item).unwrap())
        });
        let mut items = Vec::new();
        // A lost wake-up is a deadlock here, which loom reports.
        while items.len() < 2 {
            wait(&inbox);
            inbox.take_into(&mut items);
        }
        let signals: usize = producers
            .map(|producer| usize::from(producer.join().unwrap()))
            .iter()
            .sum();
        assert!(signals <= 2);
        items.sort_unstable();
        assert_eq!(items, [1, 2]);
    });
}

#[test]
fn a_loop_that_polls_sees_every_notification() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let producers = [1, 2].map(|item| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.push(item).unwrap())
        });
        let mut items = Vec::new();
        while items.len() < 2 {
            // One look stands for polling, then the loop sleeps.
            if inbox.notifier().is_notified() {
                inbox.notifier().clear();
            } else {
                wait(&inbox);
            }
            inbox.take_into(&mut items);
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// What a loop that is told to stop does, down to the items that it has run.
fn run_to_end(inbox: &Inbox<u32>, stop: &AtomicBool) -> Vec<u32> {
    let mut items = Vec::new();
    loop {
        if stop.load(Ordering::Acquire) && inbox.close_if_drained() {
            return items;
        }
        wait(inbox);
        inbox.take_into(&mut items);
    }
}

#[test]
fn a_stopping_loop_runs_what_it_has_accepted_and_nothing_after() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let pushing = Arc::clone(&inbox);
        let producer = thread::spawn(move || pushing.push(1).is_ok());
        let (stopping, flag) = (Arc::clone(&inbox), Arc::clone(&stop));
        let stopper = thread::spawn(move || {
            flag.store(true, Ordering::Release);
            stopping.notifier().notify();
        });
        let items = run_to_end(&inbox, &stop);
        let accepted = producer.join().unwrap();
        stopper.join().unwrap();
        assert_eq!(items.len(), usize::from(accepted));
        assert_eq!(inbox.push(2), Err(Closed));
    });
}

#[test]
fn a_stopping_loop_waits_for_announced_deliveries() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let delivering = Arc::clone(&inbox);
        let worker = thread::spawn(move || match delivering.expect_delivery() {
            Ok(()) => {
                delivering.deliver(1);
                true
            }
            Err(Closed) => false,
        });
        let (stopping, flag) = (Arc::clone(&inbox), Arc::clone(&stop));
        let stopper = thread::spawn(move || {
            flag.store(true, Ordering::Release);
            stopping.notifier().notify();
        });
        let items = run_to_end(&inbox, &stop);
        let accepted = worker.join().unwrap();
        stopper.join().unwrap();
        assert_eq!(items.len(), usize::from(accepted));
        assert_eq!(inbox.expect_delivery(), Err(Closed));
    });
}

#[test]
fn who_holds_a_thread_finds_it_running_to_the_last_release() {
    loom::model(|| {
        let holders = Arc::new(Holders::default());
        let inbox = Arc::new(Inbox::new().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let end_if = |released: Released, inbox: &Inbox<u32>, stop: &AtomicBool| match released {
            Released::EndThread => {
                stop.store(true, Ordering::Release);
                inbox.notifier().notify();
            }
            Released::StillWanted => {}
        };
        let (taking, pushing, flag) = (Arc::clone(&holders), Arc::clone(&inbox), Arc::clone(&stop));
        let holder = thread::spawn(move || match taking.record_guard(holder::monitor("m")) {
            Some(key) => {
                // Not refused, whatever the others do.
                pushing.push(1).unwrap();
                end_if(taking.release_guard(key), &pushing, &flag);
                true
            }
            None => false,
        });
        let (leaving, ending, flag) = (Arc::clone(&holders), Arc::clone(&inbox), Arc::clone(&stop));
        let owner = thread::spawn(move || end_if(leaving.abandon(), &ending, &flag));
        // Ends in every interleaving, since either the holder or the owner is the last.
        let items = run_to_end(&inbox, &stop);
        let held = holder.join().unwrap();
        owner.join().unwrap();
        assert_eq!(items.len(), usize::from(held));
        assert_eq!(inbox.push(2), Err(Closed));
    });
}

#[test]
fn a_bottom_half_runs_after_it_was_scheduled() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let schedule = Arc::new(Schedule::default());
        // Each scheduler raises the wish before it schedules; the last run must have seen all of them.
        let wishes = Arc::new(AtomicUsize::new(0));
        let schedulers = [(); 2].map(|()| {
            let (inbox, schedule) = (Arc::clone(&inbox), Arc::clone(&schedule));
            let wishes = Arc::clone(&wishes);
            thread::spawn(move || {
                wishes.fetch_add(1, Ordering::Relaxed);
                if schedule.schedule(Urgency::Soon) {
                    inbox.push(()).unwrap();
                }
            })
        });
        let mut seen = 0;
        let mut runs = 0;
        let mut entries = Vec::new();
        while seen < 2 {
            wait(&inbox);
            inbox.take_into(&mut entries);
            for () in entries.drain(..) {
                // Nobody cancels, so each entry stands for a run.
                assert!(schedule.begin(Urgency::Soon));
                seen = wishes.load(Ordering::Relaxed);
                runs += 1;
            }
        }
        assert!(runs <= 2);
        for scheduler in schedulers {
            scheduler.join().unwrap();
        }
    });
}

#[test]
fn a_cancelled_bottom_half_leaves_no_entry_behind() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::new().unwrap());
        let schedule = Arc::new(Schedule::default());
        let (queue, scheduled) = (Arc::clone(&inbox), Arc::clone(&schedule));
        let scheduler = thread::spawn(move || {
            if scheduled.schedule(Urgency::Soon) {
                queue.push(()).unwrap();
            }
        });
        let cancelled = Arc::clone(&schedule);
        let canceller = thread::spawn(move || cancelled.cancel());
        let mut entries = Vec::new();
        while entries.is_empty() {
            wait(&inbox);
            inbox.take_into(&mut entries);
        }
        // Runs or not, by who came first; afterwards it can be scheduled anew.
        schedule.begin(Urgency::Soon);
        scheduler.join().unwrap();
        canceller.join().unwrap();
        assert!(!schedule.is_scheduled());
        assert!(schedule.schedule(Urgency::Soon));
    });
}

/// A callback that counts its runs, and its end.
struct Counted {
    runs: Arc<AtomicUsize>,
    ends: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.ends.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn a_removed_callback_is_dropped_once_and_does_not_start_again() {
    loom::model(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let ends = Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(CallbackCell::new(Box::new(Counted {
            runs: Arc::clone(&runs),
            ends: Arc::clone(&ends),
        })));
        let removers = [(); 2].map(|()| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || drop(cell.remove()))
        });
        // The loop's part, for two events.
        for _ in 0..2 {
            if let Some(callback) = cell.take() {
                callback.runs.fetch_add(1, Ordering::AcqRel);
                drop(cell.put_back(callback));
            }
        }
        for remover in removers {
            remover.join().unwrap();
        }
        assert!(runs.load(Ordering::Acquire) <= 2);
        assert_eq!(ends.load(Ordering::Acquire), 1);
        assert!(cell.take().is_none());
    });
}

#[test]
fn a_holder_is_over_once_and_after_everything_that_it_was_accepted_for() {
    loom::model(|| {
        let attachment = Arc::new(Attachment::new(None));
        let n_over = Arc::new(AtomicUsize::new(0));
        let n_done = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&n_over);
        attachment.over().then(move || {
            told.fetch_add(1, Ordering::AcqRel);
        });
        let users = [(); 2].map(|()| {
            let (attachment, n_done) = (Arc::clone(&attachment), Arc::clone(&n_done));
            let n_over = Arc::clone(&n_over);
            thread::spawn(move || {
                if !attachment.begin() {
                    return false;
                }
                // Work that was accepted is waited for.
                assert_eq!(n_over.load(Ordering::Acquire), 0);
                n_done.fetch_add(1, Ordering::AcqRel);
                if attachment.end() {
                    attachment.over().finish();
                }
                true
            })
        });
        assert!(attachment.release().is_some());
        assert!(!attachment.begin());
        if attachment.end() {
            attachment.over().finish();
        }
        let n_accepted = users
            .map(|user| usize::from(user.join().unwrap()))
            .iter()
            .sum::<usize>();
        assert_eq!(n_done.load(Ordering::Acquire), n_accepted);
        assert_eq!(n_over.load(Ordering::Acquire), 1);
    });
}

#[test]
fn who_comes_late_is_told_at_once_that_a_holder_is_over() {
    loom::model(|| {
        let attachment = Arc::new(Attachment::new(None));
        let n_told = Arc::new(AtomicUsize::new(0));
        let listeners = [(); 2].map(|()| {
            let (attachment, n_told) = (Arc::clone(&attachment), Arc::clone(&n_told));
            thread::spawn(move || {
                attachment.over().then(move || {
                    n_told.fetch_add(1, Ordering::AcqRel);
                });
            })
        });
        assert!(attachment.release().is_some());
        assert!(attachment.end());
        attachment.over().finish();
        for listener in listeners {
            listener.join().unwrap();
        }
        assert_eq!(n_told.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_release_that_sees_no_callback_finds_none_running_and_none_starts() {
    loom::model(|| {
        let attachment = Arc::new(Attachment::new(None));
        let cell = Arc::new(CallbackCell::new(Box::new(())));
        let running = Arc::new(Running::default());
        // What a callback uses, and the release takes away.
        let in_use = Arc::new(AtomicBool::new(false));
        let (user, slot) = (Arc::clone(&attachment), Arc::clone(&cell));
        let (entered, using) = (Arc::clone(&running), Arc::clone(&in_use));
        let event_loop = thread::spawn(move || {
            for _ in 0..2 {
                let _entered = entered.enter(&user);
                let Some(callback) = slot.take() else {
                    continue;
                };
                using.store(true, Ordering::Relaxed);
                using.store(false, Ordering::Relaxed);
                drop(slot.put_back(callback));
            }
        });
        drop(cell.remove());
        if !running.may_be_of(&attachment) {
            assert!(!in_use.load(Ordering::Relaxed));
            assert!(cell.take().is_none());
        }
        event_loop.join().unwrap();
        assert!(!running.may_be_of(&attachment));
    });
}

#[test]
fn a_holder_that_leaves_keeps_nobody_from_closing_the_list_and_is_listed_to_the_end() {
    loom::model(|| {
        let holders = Arc::new(Holders::default());
        let key = holders.record_guard(holder::monitor("m")).unwrap();
        let leaving = Arc::clone(&holders);
        let release = thread::spawn(move || {
            leaving.leave_guard(key);
            assert_eq!(leaving.snapshot(), [holder::monitor("m")]);
            leaving.release_guard(key)
        });
        let closing = Arc::clone(&holders);
        let close = thread::spawn(move || closing.close(Allowed::Leaving));
        let idle = holders.close(Allowed::None);
        let closed = close.join().unwrap();
        assert_eq!(release.join().unwrap(), Released::StillWanted);
        // One of the two closes it, unless both come before the release.
        match (idle, closed) {
            (Ok(()), Err(CloseError::AlreadyClosed | CloseError::Held(_))) | (Err(_), Ok(())) => {}
            (Err(CloseError::Held(_)), Err(CloseError::Held(_))) => {
                assert_eq!(holders.close(Allowed::None), Ok(()));
            }
            other => panic!("closed twice or not at all: {other:?}"),
        }
        assert!(holders.snapshot().is_empty());
    });
}
