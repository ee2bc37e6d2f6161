//! How often something took how long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Durations up to these are counted apart from longer ones, in nanoseconds.
const BOUNDS: [u64; 12] = [
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
];

/// How many numbers that makes, with the one for what is longer than all.
const N_BUCKETS: usize = BOUNDS.len() + 1;

/// Counts what is done, by how long it took. Two additions to memory for each.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; N_BUCKETS],
    nanoseconds: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    buckets: [u64; N_BUCKETS],
    /// How long all of it took together.
    pub(crate) nanoseconds: u64,
}

/// How long it took; as much as there is room for.
pub(crate) fn nanoseconds(since: Instant, until: Instant) -> u64 {
    let elapsed = until.saturating_duration_since(since).as_nanos();
    u64::try_from(elapsed).unwrap_or(u64::MAX)
}

impl Latencies {
    pub(crate) fn note(&self, nanoseconds: u64) {
        // Most are short, so this is over soon.
        let bucket = BOUNDS.iter().position(|bound| nanoseconds <= *bound);
        let bucket = bucket.unwrap_or(BOUNDS.len());
        // A reader that sees that it was counted sees its time, too.
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.buckets[bucket].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for (count, bucket) in counted.buckets.iter_mut().zip(&self.buckets) {
            *count = bucket.load(Ordering::Acquire);
        }
        counted.nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        counted
    }
}

impl Counted {
    /// How much was counted.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Each bound in seconds, the last one infinite, and how much took no longer, but longer than the bound before.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS
            .iter()
            .map(|it| Duration::from_nanos(*it).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.buckets)
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count += more;
        }
        self.nanoseconds += other.nanoseconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_up_to_its_bound() {
        let latencies = Latencies::default();
        for nanoseconds in [0, 10_000, 10_001, 1_000_000_000, 1_000_000_001, 1 << 60] {
            latencies.note(nanoseconds);
        }
        let mut counted = latencies.counted();
        let buckets: Vec<_> = counted.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            buckets,
            [(0.000_01, 2), (0.000_05, 1), (1.0, 1), (f64::INFINITY, 2)]
        );
        counted += latencies.counted();
        assert_eq!(counted.count(), 12);
    }
}
