//! Pauses between attempts to connect.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(20);

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses that become longer.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// As long as the next one may be; nothing if it is not to wait at all.
    next: Duration,
}

impl Backoff {
    /// A connection is lost. If it was of use, the next attempt waits for nothing.
    pub(super) fn lost(&mut self, was_answered: bool, lasted: Duration) {
        if was_answered || lasted > LONGEST {
            self.next = Duration::ZERO;
        }
    }

    /// How long to wait before the next attempt.
    pub(super) fn pause(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).clamp(FIRST, LONGEST);
        // A fresh RandomState is a number that cannot be foreseen.
        let random = RandomState::new().hash_one(0_u8) >> 32;
        let part = u32::try_from(random).unwrap_or(0);
        longest - longest.mul_f64(f64::from(part) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(), Duration::ZERO);
        let mut longest = FIRST;
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!(
                pause >= longest / 2 && pause <= longest,
                "{pause:?} of {longest:?}"
            );
            longest = (longest * 2).min(LONGEST);
        }
        assert_eq!(longest, LONGEST);
        backoff.lost(false, LONGEST);
        assert!(backoff.pause() > Duration::ZERO);
        backoff.lost(true, Duration::ZERO);
        assert_eq!(backoff.pause(), Duration::ZERO);
        assert!(backoff.pause() > Duration::ZERO);
        backoff.lost(false, LONGEST + FIRST);
        assert_eq!(backoff.pause(), Duration::ZERO);
    }

    #[test]
    fn pauses_differ() {
        let pause = || {
            let mut backoff = Backoff { next: LONGEST };
            backoff.pause()
        };
        let first = pause();
        assert!((0..100).any(|_| pause() != first));
    }
}
