//! What the users of a node have asked for, and how long that took.
//!
//! A request that is done at once costs two looks at the clock and a few additions to memory that only its thread writes
//! to: threads have stripes of their own, since a user may send requests from many.

use std::cell::Cell;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::{Operation, Outcome};
use crate::latency::{Counted, Latencies, nanoseconds};

/// Tells nodes' users apart.
pub(crate) type UserPath = Arc<str>;

/// Kinds of requests that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// Zeroes included.
    Write,
    Flush,
    Unmap,
}

const N_KINDS: usize = 4;

/// How many stripes there are; threads take turns at them.
const N_STRIPES: usize = 8;

/// What has happened to requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Those that were carried out, and how many bytes they were about.
    pub(crate) done: Counted,
    pub(crate) bytes: u64,
    pub(crate) n_failed: u64,
    /// How long those took that failed.
    failed_nanoseconds: u64,
}

impl Count {
    pub(in crate::block) fn n_done(&self) -> u64 {
        self.done.count()
    }

    /// How long all of them took together.
    pub(in crate::block) fn nanoseconds(&self) -> u64 {
        self.done.nanoseconds + self.failed_nanoseconds
    }
}

/// The sum of what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    counts: [Count; N_KINDS],
    /// When the last request ended, after the first look at the clock; 0 if there was none.
    last: u64,
}

/// What is counted for one user.
#[derive(Default)]
pub(super) struct Accounts([Stripe; N_STRIPES]);

/// What threads that share a stripe count. No two stripes are in the same lines of a cache.
#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    counts: [Counters; N_KINDS],
    last: AtomicU64,
}

#[derive(Default)]
struct Counters {
    done: Latencies,
    bytes: AtomicU64,
    n_failed: AtomicU64,
    failed_nanoseconds: AtomicU64,
}

/// A request that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// `None` if it is not counted.
    kind: Option<Kind>,
    bytes: u64,
    since: Instant,
}

/// A moment to count from.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

/// The stripe of this thread.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(NEXT.fetch_add(1, Ordering::Relaxed) % N_STRIPES);
        }
        stripe.get()
    })
}

impl Kind {
    pub(crate) const ALL: [Self; N_KINDS] = [Self::Read, Self::Write, Self::Flush, Self::Unmap];

    fn of(operation: &Operation) -> Option<Self> {
        match operation {
            Operation::Read(_) => Some(Self::Read),
            Operation::Write { .. } | Operation::WriteZeroes { .. } => Some(Self::Write),
            Operation::Flush => Some(Self::Flush),
            Operation::Discard { .. } => Some(Self::Unmap),
            Operation::Cache { .. } | Operation::BlockStatus { .. } => None,
        }
    }
}

impl Begun {
    pub(super) fn now(operation: &Operation) -> Self {
        Self {
            kind: Kind::of(operation),
            bytes: operation.length(),
            since: Instant::now(),
        }
    }
}

impl Accounts {
    /// A request has ended.
    pub(super) fn note(&self, begun: &Begun, outcome: &Outcome) {
        let Some(kind) = begun.kind else {
            return;
        };
        let now = Instant::now();
        let stripe = &self.0[stripe()];
        let counters = &stripe.counts[kind as usize];
        let add = |counter: &AtomicU64, number: u64| {
            counter.fetch_add(number, Ordering::Relaxed);
        };
        let elapsed = nanoseconds(begun.since, now);
        match outcome.result {
            Ok(()) => {
                counters.done.note(elapsed);
                add(&counters.bytes, begun.bytes);
            }
            Err(_) => {
                add(&counters.n_failed, 1);
                add(&counters.failed_nanoseconds, elapsed);
            }
        }
        stripe
            .last
            .store(nanoseconds(beginning(), now).max(1), Ordering::Relaxed);
    }

    /// What was counted so far. Requests that end meanwhile may be in it in part.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for stripe in &self.0 {
            for (count, counters) in totals.counts.iter_mut().zip(&stripe.counts) {
                *count += counters.read();
            }
            totals.last = totals.last.max(stripe.last.load(Ordering::Relaxed));
        }
        totals
    }
}

impl Counters {
    fn read(&self) -> Count {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Count {
            done: self.done.counted(),
            bytes: value(&self.bytes),
            n_failed: value(&self.n_failed),
            failed_nanoseconds: value(&self.failed_nanoseconds),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.bytes += other.bytes;
        self.n_failed += other.n_failed;
        self.failed_nanoseconds += other.failed_nanoseconds;
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.last = self.last.max(other.last);
    }
}

impl Totals {
    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.counts[kind as usize]
    }

    /// How long ago the last request ended, in nanoseconds; `None` if there was none.
    pub(in crate::block) fn idle_time(&self) -> Option<u64> {
        let now = nanoseconds(beginning(), Instant::now());
        (self.last > 0).then(|| now.saturating_sub(self.last))
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::IoBuffer;
    use super::*;

    fn outcome(result: Result<(), Errno>) -> Outcome {
        Outcome::new(result, IoBuffer::default())
    }

    #[test]
    fn all_threads_are_in_the_sum() {
        let accounts = Accounts::default();
        let write = || Operation::WriteZeroes {
            length: 512,
            may_unmap: false,
            only_if_fast: false,
            fua: false,
        };
        std::thread::scope(|scope| {
            for _ in 0..2 * N_STRIPES {
                scope.spawn(|| {
                    accounts.note(&Begun::now(&write()), &outcome(Ok(())));
                    accounts.note(&Begun::now(&Operation::Flush), &outcome(Err(Errno::IO)));
                });
            }
        });
        let totals = accounts.totals();
        let n_threads = 2 * N_STRIPES as u64;
        let written = totals.of(Kind::Write);
        assert_eq!(
            (written.n_done(), written.bytes, written.n_failed),
            (n_threads, 512 * n_threads, 0)
        );
        assert!(written.nanoseconds() > 0);
        let flushed = totals.of(Kind::Flush);
        assert_eq!((flushed.n_done(), flushed.n_failed), (0, n_threads));
        assert_eq!(totals.of(Kind::Read), Count::default());
        assert!(totals.idle_time().is_some());
        assert_eq!(Totals::default().idle_time(), None);
    }

    #[test]
    fn what_is_no_transfer_is_not_counted() {
        let accounts = Accounts::default();
        let status = Operation::BlockStatus {
            length: 512,
            only_first: true,
        };
        for operation in [status, Operation::Cache { length: 512 }] {
            accounts.note(&Begun::now(&operation), &outcome(Ok(())));
        }
        assert_eq!(accounts.totals(), Totals::default());
    }
}
