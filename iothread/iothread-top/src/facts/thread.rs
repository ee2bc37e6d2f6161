//! An IOThread, and what the kernel counts of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EventLoop, Holder, LoopUsage, seconds};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The server itself.
    Told,
    /// The properties of the server's devices.
    Derived,
    /// The kernel.
    Kernel,
    /// libvirt's description of the guest.
    Libvirt,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Derived => "derived",
            Self::Kernel => "kernel",
            Self::Libvirt => "libvirt",
        }
    }
}

/// What kind of IOThread it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// The server lists it.
    #[default]
    Listed,
    /// The server keeps it for itself.
    Internal,
    /// It was deleted, and still runs, as somebody uses it.
    Deleted,
}

/// An IOThread at a moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Thread {
    pub(crate) id: String,
    /// Its number in the server's namespace of processes.
    pub(crate) thread_id: Option<i64>,
    pub(crate) standing: Standing,
    /// `None` if nobody can tell them.
    pub(crate) holders: Option<Vec<Holder>>,
    /// Who tells the holders; of a thread that was deleted, who tells that it runs.
    pub(crate) from: Option<Origin>,
    pub(crate) poll_max_ns: Option<i64>,
    pub(crate) kernel: Option<Kernel>,
    pub(crate) usage: Option<Usage>,
    /// Where the server tells it, as iothreadd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_loop: Option<EventLoop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loop_usage: Option<LoopUsage>,
}

impl Thread {
    /// The part of the time in which it ran, or had no processor to run on. What its loop polled is not in it, where the server
    /// tells that.
    pub(crate) fn load(&self) -> Option<f64> {
        let ran = self.usage.map(|it| it.cpu + it.delay);
        match (ran, self.loop_usage) {
            (Some(ran), Some(told)) => Some((ran - told.polling).max(told.dispatching)),
            (Some(ran), None) => Some(ran),
            (None, told) => told.map(|it| it.dispatching),
        }
    }
}

/// What the kernel has counted since the thread began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Kernel {
    /// To nanoseconds.
    #[serde(with = "seconds")]
    pub(crate) ran: Duration,
    /// To a tick of the kernel's clock.
    #[serde(with = "seconds")]
    pub(crate) user: Duration,
    #[serde(with = "seconds")]
    pub(crate) system: Duration,
    /// How long it could have run and had no processor.
    #[serde(with = "seconds")]
    pub(crate) delayed: Duration,
    /// How often it went to sleep.
    pub(crate) voluntary: u64,
    /// How often it was made to give way.
    pub(crate) forced: u64,
    pub(crate) last_cpu: u32,
    /// The processors that it may use, as a list of the kernel's: `0-3,8`.
    pub(crate) affinity: String,
}

/// What it used between two looks, as parts of one processor, and switches a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Usage {
    pub(crate) cpu: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) delay: f64,
    pub(crate) voluntary: f64,
    pub(crate) forced: f64,
}

impl Usage {
    /// What came between two counts that lie so far apart. Nothing if the later one is not of the same thread.
    pub(crate) fn between(earlier: &Kernel, later: &Kernel, apart: Duration) -> Option<Self> {
        if later.ran < earlier.ran || apart.is_zero() {
            return None;
        }
        let apart = apart.as_secs_f64();
        let time = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / apart;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / apart;
        let cpu = time(later.ran, earlier.ran);
        // Ticks are coarse: the exact time is split as they are.
        let user = time(later.user, earlier.user);
        let system = time(later.system, earlier.system);
        let ticks = user + system;
        let user = if ticks > 0.0 { cpu * user / ticks } else { cpu };
        Some(Self {
            cpu,
            user,
            system: cpu - user,
            delay: time(later.delayed, earlier.delayed),
            voluntary: rate(later.voluntary, earlier.voluntary),
            forced: rate(later.forced, earlier.forced),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_what_came_between() {
        let second = Duration::from_secs(1);
        let earlier = Kernel {
            ran: second,
            user: second,
            ..Kernel::default()
        };
        let later = Kernel {
            ran: second * 2,
            user: second + second / 4,
            system: second * 3 / 4,
            delayed: second / 2,
            voluntary: 10,
            forced: 4,
            ..Kernel::default()
        };
        let usage = Usage::between(&earlier, &later, second * 2).unwrap();
        let expected = Usage {
            cpu: 0.5,
            user: 0.125,
            system: 0.375,
            delay: 0.25,
            voluntary: 5.0,
            forced: 2.0,
        };
        assert_eq!(usage, expected);
        assert_eq!(Usage::between(&later, &earlier, second), None);
        assert_eq!(Usage::between(&earlier, &later, Duration::ZERO), None);
    }
}
