//! How a loop waits for events: by the best call that the host allows.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{EpollEvent, EpollTimeout};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::Core;

/// How many events one system call can return; more come with the next iteration.
const N_EVENTS: usize = 256;
/// Marks the timerfd among the events of epoll.
const TIME_OUT: u64 = u64::MAX - 2;
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

/// Waits for the events of a loop.
pub(super) struct Poller {
    way: Way,
    pub(super) events: Vec<epoll::Event>,
    alarm_clock: AlarmClock,
    /// What the next call answers instead of the kernel.
    #[cfg(test)]
    pub(super) fault: Option<Errno>,
}

/// By what a loop waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `epoll_pwait2`, whose time-outs count nanoseconds: Linux 5.11.
    Nanoseconds,
    /// `epoll_wait`, whose time-outs count milliseconds; a timerfd has the nanoseconds.
    Milliseconds,
}

impl Poller {
    pub(super) fn new() -> Self {
        Self {
            way: Way::Nanoseconds,
            events: Vec::with_capacity(N_EVENTS),
            alarm_clock: AlarmClock::default(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// Waits until something happens or the time is over, `None` for as long as it takes, and leaves what has happened in
    /// `events`.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait, in whatever way. A signal is no error.
    pub(super) fn wait(&mut self, core: &Core, timeout_ns: Option<i64>) -> io::Result<()> {
        self.events.clear();
        loop {
            let outcome = match self.way {
                Way::Nanoseconds => self.wait_ns(core, timeout_ns),
                Way::Milliseconds => self.wait_ms(core, timeout_ns),
            };
            match outcome {
                Ok(()) | Err(Errno::INTR) => return Ok(()),
                // An old kernel, or a sandbox that does not know the call. It may be refused at any time.
                Err(Errno::NOSYS | Errno::PERM) if self.way == Way::Nanoseconds => {
                    self.way = Way::Milliseconds;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the loop is notified, by the eventfd alone: for a loop whose epoll has failed.
    pub(super) fn wait_for_wakeup(&self, core: &Core) {
        let event = core.inbox.notifier().event();
        match poll(&mut [PollFd::new(event, PollFlags::IN)], None) {
            // Read after the wait, so that no signal is lost.
            Ok(_) => event.reset(),
            Err(Errno::INTR) => {}
            // Nothing is left to wait by. The loop looks every millisecond for what it has accepted.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }

    fn wait_ns(&mut self, core: &Core, timeout_ns: Option<i64>) -> Result<(), Errno> {
        #[cfg(test)]
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let timeout = timeout_ns.map(timespec);
        epoll::wait(
            &core.epoll.0,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        )?;
        Ok(())
    }

    fn wait_ms(&mut self, core: &Core, timeout_ns: Option<i64>) -> Result<(), Errno> {
        #[cfg(test)]
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if timeout_ns != Some(0) {
            self.alarm_clock.set(core, timeout_ns);
        }
        let mut events = [EpollEvent::empty(); N_EVENTS];
        let n_events = core
            .epoll
            .wait(&mut events, milliseconds(timeout_ns))
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        let happened = events.iter().take(n_events).map(|event| epoll::Event {
            flags: epoll::EventFlags::from_bits_retain(event.events().bits().cast_unsigned()),
            data: epoll::EventData::new_u64(event.data()),
        });
        self.events.extend(happened);
        Ok(())
    }
}

/// A time-out in whole milliseconds, never less than asked for; the longest where that is longer.
fn milliseconds(timeout_ns: Option<i64>) -> EpollTimeout {
    match timeout_ns {
        None => EpollTimeout::NONE,
        Some(ns) => {
            let ms = ns.div_euclid(NS_PER_MS) + i64::from(ns.rem_euclid(NS_PER_MS) > 0);
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        }
    }
}

fn timespec(ns: i64) -> Timespec {
    Timespec {
        tv_sec: ns / NS_PER_S,
        tv_nsec: ns % NS_PER_S,
    }
}

/// A timerfd that ends a wait to the nanosecond; made when it is first needed.
#[derive(Debug, Default)]
struct AlarmClock {
    fd: Option<OwnedFd>,
    is_set: bool,
}

impl AlarmClock {
    /// Prepares for a wait. Without a timerfd, on a host that refuses it, the wait ends with its millisecond.
    fn set(&mut self, core: &Core, timeout_ns: Option<i64>) {
        if timeout_ns.is_none() && !self.is_set {
            return;
        }
        // No time at all takes an earlier setting back.
        self.is_set = match self.try_set(core, timeout_ns.unwrap_or(0)) {
            Ok(()) => timeout_ns.is_some(),
            Err(_) => false,
        };
    }

    fn try_set(&mut self, core: &Core, ns: i64) -> io::Result<()> {
        let fd = match &mut self.fd {
            Some(fd) => fd,
            slot @ None => {
                let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
                let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
                // Each time-out is an edge, and setting the timer anew resets the counter: nobody needs to read it.
                epoll::add(
                    &core.epoll.0,
                    &fd,
                    epoll::EventData::new_u64(TIME_OUT),
                    epoll::EventFlags::IN | epoll::EventFlags::ET,
                )?;
                slot.insert(fd)
            }
        };
        let once = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(ns),
        };
        timerfd_settime(fd, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(milliseconds(None), EpollTimeout::NONE);
        for (ns, ms) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (-5, 0)] {
            assert_eq!(i32::from(milliseconds(Some(ns))), ms, "{ns} nanoseconds");
        }
        assert_eq!(milliseconds(Some(i64::MAX)), EpollTimeout::MAX);
    }
}
