//! Adaptive polling: how long a loop looks around by itself before it sleeps.
//!
//! Each handler has an average of the time that the loop waits for its next event. The loop wants to
//! poll as long as the longest average among the handlers that just had an event, and comes nearer to that
//! time in steps. A handler whose events are further apart than poll-max-ns is not worth polling for.

use crate::parameters::{Parameter, ParameterCells};

/// Polling time of a loop that starts to poll, in nanoseconds.
const FIRST_POLL_NS: i64 = 4_000;

/// The parameters of one decision. [`Parameters`](crate::Parameters) have no 0 for a factor or divisor.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollParameters {
    pub(super) max_ns: i64,
    pub(super) grow: i64,
    pub(super) shrink: i64,
    pub(super) weight: i64,
}

impl PollParameters {
    pub(super) fn load(cells: &ParameterCells) -> Self {
        Self {
            max_ns: cells.get(Parameter::PollMaxNs),
            grow: cells.get(Parameter::PollGrow),
            shrink: cells.get(Parameter::PollShrink),
            weight: cells.get(Parameter::PollWeight),
        }
    }
}

/// The average interval between the events of one handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct EventInterval {
    average_ns: i64,
    /// The loop's waiting time at the last event.
    last_event_ns: i64,
}

impl EventInterval {
    /// The interval of a handler that is registered when the loop has waited for `waited_ns` in all.
    pub(super) fn starting_at(waited_ns: i64) -> Self {
        Self {
            average_ns: 0,
            last_event_ns: waited_ns,
        }
    }

    /// Counts an event that came when the loop had waited for `waited_ns` in all. Returns the polling time that the handler wants.
    pub(super) fn record(&mut self, waited_ns: i64, parameters: &PollParameters) -> i64 {
        let interval = waited_ns.saturating_sub(self.last_event_ns).max(0);
        self.last_event_ns = waited_ns;
        let share = |ns: i64| ns.checked_shr(u32::try_from(parameters.weight).unwrap_or(u32::MAX));
        // A shift by more bits than there are leaves nothing of a number that is not negative.
        let average = self
            .average_ns
            .saturating_sub(share(self.average_ns).unwrap_or(0))
            .saturating_add(share(interval).unwrap_or(0));
        self.average_ns = if average >= parameters.max_ns {
            0
        } else {
            average
        };
        self.average_ns
    }
}

/// The polling time of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PollTime {
    ns: i64,
}

impl PollTime {
    /// How long to poll next, in nanoseconds.
    pub(super) fn ns(self, parameters: &PollParameters) -> i64 {
        self.ns.min(parameters.max_ns)
    }

    /// Takes one step towards the wanted time.
    pub(super) fn adjust(&mut self, wanted_ns: i64, parameters: &PollParameters) {
        self.ns = self.ns(parameters);
        if wanted_ns > self.ns {
            self.grow(parameters);
        } else if self.ns > 0 {
            self.shrink(wanted_ns, parameters);
        }
    }

    fn grow(&mut self, parameters: &PollParameters) {
        let grown = if self.ns == 0 {
            FIRST_POLL_NS
        } else {
            self.ns.saturating_mul(parameters.grow)
        };
        self.ns = grown.min(parameters.max_ns);
    }

    /// Shrinks only where the wanted time still fits afterwards, so that a steady load does not make the time swing.
    fn shrink(&mut self, wanted_ns: i64, parameters: &PollParameters) {
        if wanted_ns < self.ns / parameters.shrink {
            self.ns /= parameters.shrink;
        } else if wanted_ns == 0 && parameters.shrink > self.ns {
            self.ns = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: PollParameters = PollParameters {
        max_ns: 32_768,
        grow: 2,
        shrink: 2,
        weight: 3,
    };

    #[test]
    fn average_gives_a_new_interval_its_weight() {
        let mut interval = EventInterval::starting_at(1_000);
        assert_eq!(interval.record(9_000, &DEFAULTS), 1_000);
        assert_eq!(interval.record(17_000, &DEFAULTS), 1_000 - 125 + 1_000);
        let mut unweighted = EventInterval::starting_at(0);
        let parameters = PollParameters {
            weight: 0,
            ..DEFAULTS
        };
        assert_eq!(unweighted.record(700, &parameters), 700);
        assert_eq!(unweighted.record(1_000, &parameters), 300);
    }

    #[test]
    fn average_over_the_limit_counts_as_no_polling() {
        let mut interval = EventInterval::starting_at(0);
        assert_eq!(interval.record(32_768 * 8, &DEFAULTS), 0);
        assert_eq!(interval.record(32_768 * 8 + 800, &DEFAULTS), 100);
        assert_eq!(interval.record(i64::MAX, &DEFAULTS), 0);
    }

    #[test]
    fn weights_beyond_the_width_of_a_number_are_harmless() {
        let parameters = PollParameters {
            weight: i64::MAX,
            ..DEFAULTS
        };
        assert_eq!(EventInterval::starting_at(0).record(10_000, &parameters), 0);
    }

    #[test]
    fn polling_time_grows_by_its_factor_up_to_the_limit() {
        let mut time = PollTime::default();
        let mut course = Vec::new();
        for _ in 0..5 {
            time.adjust(30_000, &DEFAULTS);
            course.push(time.ns);
        }
        assert_eq!(course, [4_000, 8_000, 16_000, 32_000, 32_000]);
        time.adjust(32_500, &DEFAULTS);
        assert_eq!(time.ns, 32_768);
    }

    #[test]
    fn polling_time_shrinks_by_its_divisor_while_the_wanted_time_fits() {
        let mut time = PollTime { ns: 32_000 };
        let mut course = Vec::new();
        for _ in 0..4 {
            time.adjust(5_000, &DEFAULTS);
            course.push(time.ns);
        }
        assert_eq!(course, [16_000, 8_000, 8_000, 8_000]);
        for _ in 0..20 {
            time.adjust(0, &DEFAULTS);
        }
        assert_eq!(time.ns, 0);
    }

    #[test]
    fn a_lowered_limit_holds_at_once() {
        let time = PollTime { ns: 32_000 };
        let parameters = PollParameters {
            max_ns: 1_000,
            ..DEFAULTS
        };
        assert_eq!(time.ns(&parameters), 1_000);
    }
}
