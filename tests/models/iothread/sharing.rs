//! One user's context with several owners: releases, moves, pauses.

use loom::thread;

use crate::context::gate::Gate;
use crate::holders::Attachment;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering};

/// Somebody who waits to be told.
#[derive(Default)]
struct Told(Mutex<bool>, Condvar);

impl Told {
    fn tell(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let mut told = self.0.lock();
        while !*told {
            told = self.1.wait(told);
        }
    }
}

/// What a shared context does of its release, and waits for.
fn release(user: &Attachment) {
    let told = Arc::new(Told::default());
    let telling = Arc::clone(&told);
    user.over().then(move || telling.tell());
    if user.release().is_some() {
        end(user);
    }
    told.wait();
}

/// The end of something that was accepted.
fn end(user: &Attachment) {
    if user.end() {
        user.over().finish();
    }
}

/// A closure on the user's context. Returns whether it was accepted.
fn run(user: &Attachment, runs: &AtomicUsize) -> bool {
    let is_accepted = user.begin();
    if is_accepted {
        runs.fetch_add(1, Ordering::AcqRel);
        end(user);
    }
    is_accepted
}

#[test]
fn every_release_of_a_clone_is_complete_when_it_says_so() {
    loom::model(|| {
        let user = Arc::new(Attachment::new(None));
        assert!(user.begin());
        let is_over = Arc::new(AtomicBool::new(false));
        let n_told = Arc::new(AtomicUsize::new(0));
        let releases = [(); 2].map(|()| {
            let (clone, over, told) =
                (Arc::clone(&user), Arc::clone(&is_over), Arc::clone(&n_told));
            thread::spawn(move || {
                let listening = Arc::clone(&clone);
                clone.over().then(move || {
                    assert!(over.load(Ordering::Acquire));
                    // It is gone, whichever clone was released first.
                    assert!(!listening.begin());
                    told.fetch_add(1, Ordering::AcqRel);
                });
                if clone.release().is_some() {
                    end(&clone);
                }
            })
        });
        is_over.store(true, Ordering::Release);
        end(&user);
        releases.into_iter().for_each(|it| it.join().unwrap());
        assert_eq!(n_told.load(Ordering::Acquire), 2);
    });
}

/// A user that is moved: the mover says where it is now, and gives the former place up, whether or not the follower has noticed.
#[test]
fn a_late_follower_runs_once_where_it_was_or_where_it_goes() {
    loom::model(|| {
        let places = [(); 2].map(|()| Arc::new(Attachment::new(None)));
        let current = Arc::new(Mutex::new(Arc::clone(&places[0])));
        let runs = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let (follower, counting, known) = (Arc::clone(&current), Arc::clone(&runs), places.clone());
        let following = thread::spawn(move || {
            loop {
                let place = Arc::clone(&follower.lock());
                let index = usize::from(Arc::ptr_eq(&place, &known[1]));
                if run(&place, &counting[index]) {
                    return index;
                }
                // Refused only where it was, so the new place is known by then.
                assert_eq!(index, 0);
            }
        });
        *current.lock() = Arc::clone(&places[1]);
        release(&places[0]);
        let at_former = runs[0].load(Ordering::Acquire);
        let index = following.join().unwrap();
        // Nothing has begun there after the release.
        assert_eq!(runs[0].load(Ordering::Acquire), at_former);
        assert_eq!(runs[index].load(Ordering::Acquire), 1);
        assert_eq!(runs[1 - index].load(Ordering::Acquire), 0);
        assert!(places[1].begin());
    });
}

/// Two owners move at once; the loser's move is the one that is made, and both former places are given up.
#[test]
fn of_two_moves_at_once_one_is_the_last_and_no_place_is_left_behind() {
    loom::model(|| {
        let first = Arc::new(Attachment::new(None));
        let current = Arc::new(Mutex::new(Arc::clone(&first)));
        let move_to = |place: &Arc<Attachment>| {
            let (current, place) = (Arc::clone(&current), Arc::clone(place));
            thread::spawn(move || {
                let former = std::mem::replace(&mut *current.lock(), place);
                release(&former);
            })
        };
        let places = [(); 2].map(|()| Arc::new(Attachment::new(None)));
        let moves = places.each_ref().map(move_to);
        moves.into_iter().for_each(|it| it.join().unwrap());
        assert!(first.is_released());
        let last = Arc::clone(&current.lock());
        let n_released = places.iter().filter(|place| place.is_released()).count();
        assert_eq!(n_released, 1);
        assert!(!last.is_released());
        assert!(last.begin());
    });
}

#[test]
fn a_callback_that_a_pause_holds_back_runs_once_when_it_is_over() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let (passing, counting) = (Arc::clone(&gate), Arc::clone(&runs));
        let dispatching = thread::spawn(move || {
            if passing.pass() {
                counting.fetch_add(1, Ordering::AcqRel);
            }
        });
        gate.close();
        if gate.open() {
            assert!(gate.pass());
            runs.fetch_add(1, Ordering::AcqRel);
        }
        dispatching.join().unwrap();
        assert_eq!(runs.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_drain_is_told_when_nothing_is_left_and_a_release_does_not_lose_it() {
    loom::model(|| {
        let user = Arc::new(Attachment::new(None));
        assert!(user.begin());
        let is_over = Arc::new(AtomicBool::new(false));
        let (working, over) = (Arc::clone(&user), Arc::clone(&is_over));
        let worker = thread::spawn(move || {
            over.store(true, Ordering::Release);
            end(&working);
        });
        let releasing = Arc::clone(&user);
        let releaser = thread::spawn(move || release(&releasing));
        let told = Arc::new(Told::default());
        let telling = Arc::clone(&told);
        user.when_idle(move || telling.tell());
        // A wake-up that is lost is a deadlock here, which loom reports.
        told.wait();
        assert!(is_over.load(Ordering::Acquire));
        worker.join().unwrap();
        releaser.join().unwrap();
        assert!(!user.begin());
    });
}
