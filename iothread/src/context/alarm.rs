//! Wakes a loop when the time of day is set, so that its timers on that clock keep their word.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::core::Core;

/// A time that no clock of a host shows: the 23rd century. The kernel counts nanoseconds in 63 bits.
const NEVER: Timespec = Timespec {
    tv_sec: 9_000_000_000,
    tv_nsec: 0,
};
const ZERO: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A timerfd that becomes readable when the time of day is set; made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    fd: Option<OwnedFd>,
    armed: bool,
}

impl Alarm {
    /// Marks the timerfd among the events of epoll.
    pub(super) const EVENT: u64 = u64::MAX - 1;

    /// Prepares for a sleep with timers on the time of day.
    pub(super) fn arm(&mut self, core: &Core) {
        if !self.armed {
            // A host without file descriptors left makes the timers late after a jump of the clock, nothing worse.
            self.armed = self.set(core).is_ok();
        }
    }

    /// Says that the clock has been set.
    pub(super) fn fired(&mut self) {
        self.armed = false;
    }

    fn set(&mut self, core: &Core) -> io::Result<()> {
        let fd = match &mut self.fd {
            Some(fd) => fd,
            slot @ None => {
                let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
                let fd = timerfd_create(TimerfdClockId::Realtime, flags)?;
                // Each change of the clock is an edge, so that nobody needs to read the counter.
                epoll::add(
                    &core.epoll.0,
                    &fd,
                    epoll::EventData::new_u64(Self::EVENT),
                    epoll::EventFlags::IN | epoll::EventFlags::ET,
                )?;
                slot.insert(fd)
            }
        };
        timerfd_settime(
            fd,
            TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
            &Itimerspec {
                it_interval: ZERO,
                it_value: NEVER,
            },
        )?;
        Ok(())
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::context::{LoopKind, Setup, VirtualClock};
    use crate::parameters::Parameters;

    #[test]
    fn the_kernel_takes_the_alarm_and_takes_it_again() {
        let setup = Setup::new(LoopKind::Main, "alarm".to_owned(), Parameters::default());
        let core = Core::new(setup, &VirtualClock::new()).unwrap();
        let mut alarm = Alarm::default();
        alarm.arm(&core);
        assert!(alarm.armed);
        alarm.fired();
        alarm.arm(&core);
        assert!(alarm.armed);
    }
}
