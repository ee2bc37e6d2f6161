//! What ends a loop's wait by a clock of the kernel: timerfds among its file descriptors.

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

/// A timerfd that the loop's epoll watches; made when it is first set.
#[derive(Debug)]
pub(super) struct KernelTimer {
    clock: TimerfdClockId,
    /// Marks it among the events of epoll.
    event: u64,
    fd: Option<OwnedFd>,
}

impl KernelTimer {
    pub(super) fn new(clock: TimerfdClockId, event: u64) -> Self {
        let fd = None;
        Self { clock, event, fd }
    }

    /// Lets it become readable once, at `time`; never, if that is zero.
    pub(super) fn set(
        &mut self,
        core: &Core,
        flags: TimerfdTimerFlags,
        time: Timespec,
    ) -> io::Result<()> {
        let fd = match &mut self.fd {
            Some(fd) => fd,
            slot @ None => {
                let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
                let fd = timerfd_create(self.clock, flags)?;
                // Each time-out is an edge, and setting the timer anew resets the counter: it need not be read.
                epoll::add(
                    &core.epoll.0,
                    &fd,
                    epoll::EventData::new_u64(self.event),
                    epoll::EventFlags::IN | epoll::EventFlags::ET,
                )?;
                slot.insert(fd)
            }
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: time,
        };
        timerfd_settime(fd, flags, &once)?;
        Ok(())
    }
}

/// Wakes a loop when the time of day is set, so that its timers on that clock keep their word.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: KernelTimer,
    armed: bool,
}

impl Alarm {
    /// Marks it among the events of epoll.
    pub(super) const EVENT: u64 = u64::MAX - 1;

    pub(super) fn new() -> Self {
        Self {
            timer: KernelTimer::new(TimerfdClockId::Realtime, Self::EVENT),
            armed: false,
        }
    }

    /// Prepares for a sleep with timers on the time of day.
    pub(super) fn arm(&mut self, core: &Core) {
        if !self.armed {
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            // A host without file descriptors left makes the timers late after a jump of the clock, nothing worse.
            self.armed = self.timer.set(core, flags, NEVER).is_ok();
        }
    }

    /// Says that the clock has been set.
    pub(super) fn fired(&mut self) {
        self.armed = false;
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
        let mut alarm = Alarm::new();
        alarm.arm(&core);
        assert!(alarm.armed);
        alarm.fired();
        alarm.arm(&core);
        assert!(alarm.armed);
    }
}
