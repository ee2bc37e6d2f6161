//! The account of a pool of workers: what is taken is done, whoever starts the threads, and by no more of them than there may be.
//!
//! There are more threads than in other models, so no more than two preemptions are tried unless `LOOM_MAX_PREEMPTIONS` says otherwise.

use std::io;

use loom::thread;

use crate::context::budget::Slot;
use crate::context::pool::{Pool, Work};
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering};

/// A loop that is asked for workers, and sleeps otherwise.
#[derive(Default)]
struct Loop {
    pool: Pool,
    asked: Mutex<bool>,
    changed: Condvar,
    n_done: AtomicUsize,
    n_threads: AtomicUsize,
}

impl Loop {
    fn ask(&self) {
        *self.asked.lock() = true;
        self.changed.notify_all();
    }

    fn submit(self: &Arc<Self>) {
        self.submit_that(|| ());
    }

    fn submit_that(self: &Arc<Self>, does: impl FnOnce() + Send + 'static) {
        let done = Arc::clone(self);
        let work = Work {
            attachment: 1,
            run: Box::new(move || {
                does();
                done.n_done.fetch_add(1, Ordering::AcqRel);
                done.ask();
            }),
        };
        if self.pool.submit(work) {
            self.ask();
        }
    }

    /// Starts what is missing until `n_works` are done. A wake-up that is lost is a deadlock here, which loom reports.
    fn run(self: &Arc<Self>, n_works: usize) {
        self.run_on_a_host(n_works, |_| true);
    }

    /// As [`run`](Self::run), where `has_room` says of each thread, by its number, whether the host has it.
    fn run_on_a_host(self: &Arc<Self>, n_works: usize, has_room: impl Fn(usize) -> bool) {
        let mut n_tried = 0;
        let mut workers = Vec::new();
        loop {
            let mut asked = self.asked.lock();
            while !std::mem::take(&mut *asked) {
                asked = self.changed.wait(asked);
            }
            drop(asked);
            let started = self.pool.start_missing(|slot: Slot| {
                n_tried += 1;
                if !has_room(n_tried) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let worker = Arc::clone(self);
                self.n_threads.fetch_add(1, Ordering::AcqRel);
                workers.push(thread::spawn(move || {
                    worker
                        .pool
                        .work(std::thread::current().id(), || worker.ask());
                    drop(slot);
                }));
                Ok(())
            });
            assert!(started.is_ok());
            if self.n_done.load(Ordering::Acquire) == n_works {
                break;
            }
        }
        self.pool.end();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(self.pool.n_workers(), 0);
    }
}

/// Where two wait for each other. Work that does so takes two workers at once, and is a deadlock where one was never asked for.
#[derive(Default)]
struct Meeting(Mutex<u32>, Condvar);

impl Meeting {
    fn meet(&self) {
        let mut n_here = self.0.lock();
        *n_here += 1;
        self.1.notify_all();
        while *n_here < 2 {
            n_here = self.1.wait(n_here);
        }
    }

    /// What each of the two does.
    fn visit(self: &Arc<Self>) -> impl FnOnce() + Send + 'static {
        let meeting = Arc::clone(self);
        move || meeting.meet()
    }
}

fn try_all(model: impl Fn() + Send + Sync + 'static) {
    let mut tried = loom::model::Builder::new();
    tried.preemption_bound = tried.preemption_bound.or(Some(2));
    tried.check(model);
}

#[test]
fn work_that_comes_from_anywhere_is_done_by_as_few_workers_as_there_may_be() {
    try_all(|| {
        let event_loop = Arc::new(Loop::default());
        assert!(!event_loop.pool.set_limits(0, 1));
        let submitting = Arc::clone(&event_loop);
        let other = thread::spawn(move || submitting.submit());
        event_loop.submit();
        event_loop.run(2);
        other.join().unwrap();
        assert_eq!(event_loop.n_threads.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_worker_that_is_one_too_many_leaves_its_work_to_the_others() {
    try_all(|| {
        let event_loop = Arc::new(Loop::default());
        assert!(!event_loop.pool.set_limits(0, 2));
        let limiting = Arc::clone(&event_loop);
        let other = thread::spawn(move || {
            if limiting.pool.set_limits(0, 1) {
                limiting.ask();
            }
        });
        event_loop.submit();
        event_loop.submit();
        event_loop.run(2);
        other.join().unwrap();
    });
}

#[test]
fn work_that_comes_while_a_worker_is_started_has_one_of_its_own() {
    try_all(|| {
        let event_loop = Arc::new(Loop::default());
        assert!(!event_loop.pool.set_limits(0, 2));
        let meeting = Arc::new(Meeting::default());
        let (submitting, visit) = (Arc::clone(&event_loop), meeting.visit());
        let other = thread::spawn(move || submitting.submit_that(visit));
        event_loop.submit_that(meeting.visit());
        event_loop.run(2);
        other.join().unwrap();
        assert_eq!(event_loop.n_threads.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_worker_that_the_host_did_not_have_is_asked_for_again() {
    try_all(|| {
        let event_loop = Arc::new(Loop::default());
        assert!(!event_loop.pool.set_limits(0, 2));
        let meeting = Arc::new(Meeting::default());
        event_loop.submit();
        event_loop.submit_that(meeting.visit());
        event_loop.submit_that(meeting.visit());
        event_loop.run_on_a_host(3, |number| number != 2);
        assert_eq!(event_loop.n_threads.load(Ordering::Acquire), 2);
    });
}

#[test]
fn work_that_waits_has_a_worker_as_soon_as_there_may_be_one_more() {
    try_all(|| {
        let event_loop = Arc::new(Loop::default());
        assert!(!event_loop.pool.set_limits(0, 1));
        let meeting = Arc::new(Meeting::default());
        event_loop.submit_that(meeting.visit());
        event_loop.submit_that(meeting.visit());
        let allowing = Arc::clone(&event_loop);
        let other = thread::spawn(move || {
            if allowing.pool.set_limits(0, 2) {
                allowing.ask();
            }
        });
        event_loop.run(2);
        other.join().unwrap();
        assert_eq!(event_loop.n_threads.load(Ordering::Acquire), 2);
    });
}
