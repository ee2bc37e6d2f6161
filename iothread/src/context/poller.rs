//! How a loop waits for events: by the best call that the host allows.

use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{EpollEvent, EpollTimeout};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::time::{TimerfdClockId, TimerfdTimerFlags};

use super::alarm::KernelTimer;
use super::core::Core;

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
            alarm_clock: AlarmClock::new(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// Waits until something happens or the time is over, `None` for as long as it takes, and leaves what has happened in `events`.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait, in whatever way. A signal is not an error.
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

/// Ends a wait to the nanosecond.
#[derive(Debug)]
struct AlarmClock {
    timer: KernelTimer,
    is_set: bool,
}

impl AlarmClock {
    fn new() -> Self {
        Self {
            timer: KernelTimer::new(TimerfdClockId::Monotonic, TIME_OUT),
            is_set: false,
        }
    }

    /// Prepares for a wait. Without a timerfd, on a host that refuses it, the wait ends with its millisecond.
    fn set(&mut self, core: &Core, timeout_ns: Option<i64>) {
        if timeout_ns.is_none() && !self.is_set {
            return;
        }
        // No time at all takes an earlier setting back.
        let time = timespec(timeout_ns.unwrap_or(0));
        let is_taken = self.timer.set(core, TimerfdTimerFlags::empty(), time);
        self.is_set = is_taken.is_ok() && timeout_ns.is_some();
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::context::setup::{Hooks, LoopKind, Setup};
    use crate::context::{AioContext, Clock, ContextError, EventLoop, LoopFailure, VirtualClock};
    use crate::holder;
    use crate::parameters::Parameters;
    use crate::sync::Arc;

    fn core(hooks: Hooks) -> Arc<Core> {
        let mut setup = Setup::new(
            LoopKind::Main,
            "poller".to_owned(),
            Parameters::of_main_loop(),
        );
        setup.hooks = hooks;
        let core = Core::new(setup, &VirtualClock::new()).expect("the host has room for a loop");
        core.set_owner();
        core.apply_pool_limits();
        core
    }

    fn event_loop() -> (EventLoop, AioContext) {
        let core = core(Hooks::default());
        let context = AioContext::new(Arc::clone(&core), None);
        (EventLoop::new(core), context)
    }

    #[test]
    fn time_outs_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(milliseconds(None), EpollTimeout::NONE);
        for (ns, ms) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (-5, 0)] {
            assert_eq!(i32::from(milliseconds(Some(ns))), ms, "{ns} nanoseconds");
        }
        assert_eq!(milliseconds(Some(i64::MAX)), EpollTimeout::MAX);
    }

    /// Runs the loop until a timer fires. Returns how many iterations that took.
    fn time_out(event_loop: &mut EventLoop, context: &AioContext, delay: Duration) -> u64 {
        let (sent, fired) = channel();
        let timer = context
            .timer(Clock::Monotonic, move |dispatch| {
                sent.send(dispatch.now(Clock::Monotonic))
                    .expect("the test listens");
            })
            .expect("a loop that has not ended");
        let due = context.now(Clock::Monotonic) + delay;
        timer.arm_at(due);
        let before = context.stats().iterations;
        let now = loop {
            event_loop.run_once(true).expect("a loop that may wait");
            if let Ok(now) = fired.try_recv() {
                break now;
            }
        };
        assert!(now >= due);
        context.stats().iterations - before
    }

    #[test]
    fn a_host_without_epoll_pwait2_has_timers_and_a_loop_that_sleeps() {
        for errno in [Errno::NOSYS, Errno::PERM] {
            // Refused at once, and later: a sandbox may close at any time.
            for n_allowed in [0, 99] {
                let (mut event_loop, context) = event_loop();
                for _ in 0..n_allowed {
                    time_out(&mut event_loop, &context, Duration::ZERO);
                }
                assert_eq!(event_loop.poller.way, Way::Nanoseconds);
                event_loop.poller.fault = Some(errno);
                for us in [20, 300, 1_500, 20_000] {
                    let delay = Duration::from_micros(us);
                    let n_iterations = time_out(&mut event_loop, &context, delay);
                    // A loop that spins makes thousands.
                    assert!(n_iterations <= 5, "{n_iterations} iterations in {us} us");
                }
                assert_eq!(event_loop.poller.way, Way::Milliseconds);
                assert!(event_loop.poller.alarm_clock.is_set);
                // A wait without end takes the alarm back, and ends by a wake-up.
                let (sent, ran) = channel();
                let remote = context.share();
                let sleeps = context.stats().sleeps;
                let other = std::thread::spawn(move || {
                    // One that comes before the loop sleeps would keep it awake.
                    while remote.stats().sleeps == sleeps {
                        thread::yield_now();
                    }
                    remote.post(move |_| sent.send(()).unwrap()).unwrap();
                });
                while ran.try_recv().is_err() {
                    event_loop.run_once(true).unwrap();
                }
                other.join().unwrap();
                assert!(!event_loop.poller.alarm_clock.is_set);
            }
        }
    }

    #[test]
    fn a_host_without_epoll_pwait2_has_file_descriptors() {
        let (mut event_loop, context) = event_loop();
        event_loop.poller.fault = Some(Errno::NOSYS);
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (sent, calls) = channel();
        let write_sent = sent.clone();
        let watch = context
            .watch(near)
            .on_readable(move |mut near, _| {
                let mut byte = [0];
                io::Read::read_exact(&mut near, &mut byte).unwrap();
                sent.send(byte[0]).unwrap();
            })
            .on_writable(move |_, dispatch| {
                write_sent.send(b'w').unwrap();
                dispatch.set_interest(crate::Interest::READ).unwrap();
            })
            .register()
            .unwrap();
        event_loop.run_once(true).unwrap();
        io::Write::write_all(&mut &far, b"r").unwrap();
        event_loop.run_once(true).unwrap();
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), b"wr");
        drop(watch);
    }

    #[test]
    fn a_signal_is_no_failure() {
        let (mut event_loop, context) = event_loop();
        for way in [Way::Nanoseconds, Way::Milliseconds] {
            event_loop.poller.way = way;
            event_loop.poller.fault = Some(Errno::INTR);
            time_out(&mut event_loop, &context, Duration::from_micros(100));
            assert_eq!(event_loop.poller.way, way);
        }
    }

    #[test]
    fn any_other_refusal_ends_a_main_loop_with_its_error() {
        for (way, errno) in [
            (Way::Nanoseconds, Errno::BADF),
            (Way::Nanoseconds, Errno::INVAL),
            (Way::Nanoseconds, Errno::FAULT),
            (Way::Milliseconds, Errno::BADF),
            (Way::Milliseconds, Errno::NOSYS),
            (Way::Milliseconds, Errno::PERM),
        ] {
            let (mut event_loop, context) = event_loop();
            event_loop.poller.way = way;
            event_loop.poller.fault = Some(errno);
            let (sent, ran) = channel();
            let failure = event_loop.run_until_stopped().unwrap_err();
            assert_eq!(failure.source.raw_os_error(), Some(errno.raw_os_error()));
            assert!(
                failure
                    .to_string()
                    .starts_with("event loop 'poller' cannot wait for events: ")
            );
            assert!(context.failure().is_some());
            assert!(event_loop.run_once(true).is_err());
            let refused = context.post(move |_| sent.send(()).unwrap());
            assert!(matches!(refused, Err(ContextError::Ended { .. })));
            // Its end is as any other.
            event_loop.core().request_stop();
            event_loop.run_to_end();
            assert!(ran.recv().is_err());
        }
    }

    #[test]
    fn a_thread_that_cannot_wait_says_so_and_does_what_it_has_accepted() {
        let (told, failures) = channel();
        let core = core(Hooks {
            failure: Some(Arc::new(move |failure: &LoopFailure| {
                told.send(failure.to_string()).unwrap();
            })),
            ..Hooks::default()
        });
        let key = core
            .holders
            .record_guard(holder::block_export("e0"))
            .unwrap();
        let context = AioContext::new(Arc::clone(&core), Some(key));
        let timer = context
            .timer(Clock::Monotonic, |_| panic!("on a loop that has failed"))
            .unwrap();
        let (go, wait) = channel();
        let (sent, done) = channel();
        context
            .spawn_blocking(
                move || wait.recv().unwrap(),
                move |dispatch, result| {
                    timer.arm_at(Duration::ZERO);
                    let refused = dispatch.context().post(|_| ());
                    sent.send((result, refused.is_err())).unwrap();
                },
            )
            .unwrap();
        let running_core = Arc::clone(&core);
        let running = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new(running_core);
            event_loop.poller.fault = Some(Errno::BADF);
            event_loop.run_to_end();
        });
        assert_eq!(
            failures.recv().unwrap(),
            "event loop 'poller' cannot wait for events: Bad file descriptor (os error 9)"
        );
        assert!(context.post(|_| ()).is_err());
        assert!(context.call(|_| ()).is_err());
        context.release();
        assert_eq!(core.holders.snapshot(), [holder::block_export("e0")]);
        go.send(()).unwrap();
        assert_eq!(done.recv().unwrap(), (Ok(()), true));
        core.request_stop();
        running.join().unwrap();
        assert!(core.holders.snapshot().is_empty());
        assert_eq!(core.stats().panics, 0);
    }
}
