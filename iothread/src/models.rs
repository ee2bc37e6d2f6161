//! Models of what several threads do at once, for loom to try in every interleaving.
//!
//! Three threads each, the model's own included. Run with `RUSTFLAGS="--cfg loom" cargo test -p iothread --lib --release models`;
//! `LOOM_MAX_PREEMPTIONS` bounds the preemptions, without it there is no bound.

use loom::thread;

use crate::cell::CallbackCell;
use crate::holder;
use crate::holders::{Attachment, CloseError, Holders, RecordError, Registration, Released};
use crate::inbox::{Closed, Inbox};
use crate::schedule::{Schedule, Urgency};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering};

#[test]
fn recorded_holders_are_seen_until_they_are_released() {
    loom::model(|| {
        let holders = Arc::new(Holders::new());
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
            let released = named.release_named(&holder::monitor("m")).unwrap();
            assert_eq!(released, Some(Released::StillWanted));
            assert_eq!(named.release_named(&holder::monitor("m")), Ok(None));
        });
        let seen = holders.snapshot();
        assert!(seen.len() <= 2);
        assert!(holders.counts().total() <= 2);
        guard.join().unwrap();
        pair.join().unwrap();
        assert!(holders.snapshot().is_empty());
        assert_eq!(holders.counts().total(), 0);
        assert_eq!(holders.close(), Ok(()));
    });
}

#[test]
fn a_thread_is_either_held_or_closed() {
    loom::model(|| {
        let holders = Arc::new(Holders::new());
        let taking = Arc::clone(&holders);
        let taker = thread::spawn(move || match taking.record_guard(holder::monitor("m")) {
            Ok(key) => {
                assert_eq!(taking.close(), Err(CloseError::Held));
                let _ = taking.release_guard(key);
                true
            }
            Err(error) => {
                assert_eq!(error, RecordError::Closed);
                assert_eq!(taking.close(), Err(CloseError::AlreadyClosed));
                false
            }
        });
        let closing = Arc::clone(&holders);
        let closer = thread::spawn(move || closing.close());
        let seen = holders.snapshot().len();
        let taken = taker.join().unwrap();
        match closer.join().unwrap() {
            Ok(()) => assert!(seen == 0 || taken),
            Err(CloseError::Held) => assert!(taken),
            Err(CloseError::AlreadyClosed) => unreachable!("only one thread closes with success"),
        }
        assert!(holders.snapshot().is_empty());
    });
}

#[test]
fn the_last_release_ends_an_abandoned_thread_once() {
    loom::model(|| {
        let holders = Arc::new(Holders::new());
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
        assert!(matches!(
            holders.record_guard(holder::monitor("m")),
            Err(RecordError::Closed)
        ));
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
        attachment.release();
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
        let holders = Arc::new(Holders::new());
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
            Ok(key) => {
                // Not refused, whatever the others do.
                pushing.push(1).unwrap();
                end_if(taking.release_guard(key), &pushing, &flag);
                true
            }
            Err(error) => {
                assert_eq!(error, RecordError::Closed);
                false
            }
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
        let schedule = Arc::new(Schedule::new());
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
        let schedule = Arc::new(Schedule::new());
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
