//! What the event loop of an IOThread says of itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seconds;

/// What the loop has done since it was made. It is always in one of three phases, so their times add up to its age.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct EventLoop {
    /// It ran what it has to do: that is work.
    #[serde(with = "seconds")]
    pub(crate) dispatching: Duration,
    /// It looked for something to do without going to sleep: on a processor, and no work.
    #[serde(with = "seconds")]
    pub(crate) polling: Duration,
    /// It slept.
    #[serde(with = "seconds")]
    pub(crate) blocked: Duration,
    pub(crate) fd_events: u64,
    pub(crate) bottom_halves: u64,
    pub(crate) posted: u64,
    pub(crate) timers: u64,
    /// How often polling found something, and how often it did not.
    pub(crate) poll_hits: u64,
    pub(crate) poll_misses: u64,
}

impl EventLoop {
    fn age(&self) -> Duration {
        let awake = self.dispatching.saturating_add(self.polling);
        awake.saturating_add(self.blocked)
    }

    fn n_events(&self) -> u64 {
        // What a server tells may be anything.
        let counts = [self.fd_events, self.bottom_halves, self.posted, self.timers];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

/// What it did between two looks, as parts of all time, and events a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LoopUsage {
    pub(crate) dispatching: f64,
    pub(crate) polling: f64,
    pub(crate) blocked: f64,
    pub(crate) events: f64,
    /// The part of its polls that found something; nothing if it did not poll.
    pub(crate) poll_hits: Option<f64>,
}

impl LoopUsage {
    /// What came between two counts. Nothing if the later one is not of the same loop.
    pub(crate) fn between(earlier: &EventLoop, later: &EventLoop) -> Option<Self> {
        let apart = later.age().checked_sub(earlier.age())?.as_secs_f64();
        if apart == 0.0 {
            return None;
        }
        let part = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / apart;
        let hits = later.poll_hits.saturating_sub(earlier.poll_hits);
        let misses = later.poll_misses.saturating_sub(earlier.poll_misses);
        let n_polls = hits.saturating_add(misses);
        Some(Self {
            dispatching: part(later.dispatching, earlier.dispatching),
            polling: part(later.polling, earlier.polling),
            blocked: part(later.blocked, earlier.blocked),
            events: later.n_events().saturating_sub(earlier.n_events()) as f64 / apart,
            poll_hits: (n_polls > 0).then(|| hits as f64 / n_polls as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_the_loops_own_time() {
        let second = Duration::from_secs(1);
        let earlier = EventLoop {
            blocked: second,
            ..EventLoop::default()
        };
        let later = EventLoop {
            dispatching: second,
            polling: second * 2,
            blocked: second * 2,
            fd_events: 6,
            timers: 2,
            poll_hits: 3,
            poll_misses: 1,
            ..EventLoop::default()
        };
        let usage = LoopUsage::between(&earlier, &later).unwrap();
        let expected = LoopUsage {
            dispatching: 0.25,
            polling: 0.5,
            blocked: 0.25,
            events: 2.0,
            poll_hits: Some(0.75),
        };
        assert_eq!(usage, expected);
        assert_eq!(LoopUsage::between(&later, &earlier), None);
        assert_eq!(LoopUsage::between(&later, &later), None);
    }
}
