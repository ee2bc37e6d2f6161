//! One iteration of a loop: wait, then dispatch file descriptors, then what was handed over, then timers.

use std::io::{self, Write};
use std::ptr;

use rustix::event::epoll::EventFlags;

use super::alarm::Alarm;
use super::clock::monotonic_ns;
use super::contain::contain;
use super::core::{Core, CurrentGuard, Job, Scheduled};
use super::failure::LoopFailure;
use super::fd_table::{Readiness, Watched};
use super::phase::Phase;
use super::poller::Poller;
use super::polling::{EventInterval, PollParameters, PollTime};
use super::schedule::Urgency;
use crate::sync::Arc;

/// After how many iterations that polling has ended, at the latest, the kernel is asked for what cannot be polled; and after
/// how many looks of one poll.
const POLLS_PER_LOOK: u32 = 32;
/// How long an idle bottom half waits for an occasion.
const IDLE_BH_NS: i64 = 10_000_000;

/// The part of a loop that only its own thread touches.
pub(crate) struct EventLoop {
    core: Arc<Core>,
    pub(super) poller: Poller,
    /// Iterations since the kernel was last asked.
    unlooked: u32,
    ready: Vec<(Arc<dyn Watched>, Readiness)>,
    jobs: Vec<Job>,
    idle: Vec<Arc<dyn Scheduled>>,
    /// When the idle bottom halves run at the latest.
    idle_due_ns: Option<i64>,
    /// The handlers that can be polled, and the version of the table that they were taken from.
    pollable: Vec<Arc<dyn Watched>>,
    pollable_version: u64,
    /// Whether the handlers are in polling mode, without notifications.
    polling: bool,
    alarm: Alarm,
    poll_time: PollTime,
    /// Interval between wake-ups from other threads.
    wakeups: EventInterval,
    /// Waiting time of all iterations.
    waited_ns: i64,
}

impl EventLoop {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            poller: Poller::new(),
            core,
            unlooked: 0,
            ready: Vec::new(),
            jobs: Vec::new(),
            idle: Vec::new(),
            idle_due_ns: None,
            pollable: Vec::new(),
            pollable_version: 0,
            polling: false,
            alarm: Alarm::new(),
            poll_time: PollTime::default(),
            wakeups: EventInterval::default(),
            waited_ns: 0,
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Runs until the loop is told to stop and nothing that it has accepted is left; then it accepts nothing more.
    ///
    /// A loop that cannot wait any more tells its hook, and stays until it is told to stop, for what it has accepted.
    pub(crate) fn run_to_end(&mut self) {
        let _current = CurrentGuard::enter(&self.core);
        self.enter(Some(Phase::Dispatching));
        loop {
            let stopping = self.core.stop_requested();
            if stopping && self.core.inbox.close_if_drained() {
                break;
            }
            if self.core.failure().is_some() {
                self.run_accepted();
            } else if let Err(error) = self.iterate(true) {
                self.fail(error);
            }
        }
        self.enter(None);
        self.core.end_workers();
        self.idle.clear();
        self.pollable.clear();
    }

    /// One iteration of a loop that has failed: it has no file descriptors and no timers any more.
    fn run_accepted(&mut self) {
        if self.core.inbox.notifier().prepare_sleep() {
            self.poller.wait_for_wakeup(&self.core);
        }
        let notified = self.core.inbox.notifier().clear();
        self.core.start_workers();
        self.dispatch_jobs(notified);
    }

    /// Says that the loop cannot wait, to its users and to the hook for failures.
    fn fail(&mut self, error: io::Error) {
        self.enter(None);
        let failure = self.core.fail(error);
        crate::trace::failed(&failure.context, &failure.source);
        match &self.core.hooks.failure {
            // A hook that panics has already reported more than it should.
            Some(hook) => drop(contain(|| hook(failure))),
            None => report(failure),
        }
    }

    /// Runs until the loop is told to stop, and can be run again.
    pub(crate) fn run_until_stopped(&mut self) -> Result<(), LoopFailure> {
        self.run_for_a_while(|this| {
            while !this.core.take_stop_request() {
                this.iterate(true)?;
            }
            Ok(())
        })
    }

    /// Runs one iteration. Returns whether anything was dispatched.
    pub(crate) fn run_once(&mut self, may_block: bool) -> Result<bool, LoopFailure> {
        self.run_for_a_while(|this| this.iterate(may_block))
    }

    fn run_for_a_while<R>(
        &mut self,
        run: impl FnOnce(&mut Self) -> io::Result<R>,
    ) -> Result<R, LoopFailure> {
        if let Some(failure) = self.core.failure() {
            return Err(failure.clone());
        }
        let _current = CurrentGuard::enter(&self.core);
        self.enter(Some(Phase::Dispatching));
        let outcome = run(self);
        // What this finds waits for the next run.
        self.stop_polling();
        self.enter(None);
        outcome.map_err(|error| self.core.fail(error).clone())
    }

    fn iterate(&mut self, may_block: bool) -> io::Result<bool> {
        self.core.stats.iterations.add(1);
        let timeout_ns = if may_block {
            self.timeout_ns()
        } else {
            Some(0)
        };
        let notified = self.wait(timeout_ns)?;
        // Work that arrives from now on notifies the loop once more.
        self.core.start_workers();
        let mut progress = self.dispatch_fds();
        progress |= self.dispatch_jobs(notified);
        progress |= self
            .core
            .timers
            .run_due(|clock| self.core.running_ns(clock));
        self.core.after_iteration();
        Ok(progress)
    }

    /// How long the loop may wait; `None` for as long as it takes.
    fn timeout_ns(&self) -> Option<i64> {
        if self.core.inbox.notifier().is_notified() {
            return Some(0);
        }
        let now = |clock| self.core.running_ns(clock);
        let timers_ns = self.core.timers.timeout_ns(now);
        let idle_ns = self
            .idle_due_ns
            .map(|due_ns| due_ns.saturating_sub(monotonic_ns()).max(0));
        match (timers_ns, idle_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Waits for events, by polling or asleep, and leaves them in `ready`. Returns whether other threads have something to say.
    fn wait(&mut self, timeout_ns: Option<i64>) -> io::Result<bool> {
        let parameters = PollParameters::load(&self.core.parameters);
        let start_ns = self.enter(Some(Phase::Polling));
        self.refresh_pollable();

        let mut found = !self.ready.is_empty();
        if self.core.fds.any_unpollable() {
            found |= self.stop_polling();
        } else if !found && timeout_ns == Some(0) {
            // There is no time to poll, but the kernel does not know of handlers in polling mode.
            found = self.polling && self.poll_once();
        } else if !found {
            found = self.poll(start_ns, timeout_ns, &parameters)?;
        }
        let sleep = !found
            && timeout_ns != Some(0)
            && !self.stop_polling()
            && self.core.inbox.notifier().prepare_sleep();
        if sleep {
            self.core.stats.sleeps.add(1);
            if self.core.timers.any_real() {
                self.alarm.arm(&self.core);
            }
            self.enter(Some(Phase::Asleep));
            self.wait_for_events(timeout_ns)?;
        } else if self.core.fds.len() > 0 {
            // Others keep the loop busy; file descriptors have their turn nevertheless. What polling has found is first,
            // but not for ever: it cannot find everything, such as room to write.
            self.unlooked += 1;
            if self.ready.is_empty() || self.unlooked >= POLLS_PER_LOOK {
                self.wait_for_events(Some(0))?;
            }
        }
        // What was said before this is seen below; what is said later stays for the next iteration.
        let notified = self.core.inbox.notifier().clear();

        let end_ns = self.enter(Some(Phase::Dispatching));
        self.waited_ns = self.waited_ns.saturating_add(end_ns - start_ns);
        self.adapt(notified, end_ns - start_ns, &parameters);
        Ok(notified)
    }

    /// Counts what the loop did up to now, and says what it does next; nothing, where its run returns. Returns the time.
    fn enter(&self, phase: Option<Phase>) -> i64 {
        let now_ns = monotonic_ns();
        self.core.stats.phases.enter(phase, now_ns);
        now_ns
    }

    /// Chooses the next polling time by the events that ended this wait.
    fn adapt(&mut self, notified: bool, waited_ns: i64, parameters: &PollParameters) {
        if parameters.max_ns == 0 {
            self.core.stats.poll_ns.set(0);
            return;
        }
        let mut wanted_ns = None;
        if notified {
            wanted_ns = Some(self.wakeups.record(self.waited_ns, parameters));
        }
        for (inner, _) in &self.ready {
            let ns = inner.record_event(self.waited_ns, parameters);
            wanted_ns = wanted_ns.max(Some(ns));
        }
        // A wait that ended without an event was too long to poll for.
        if wanted_ns.is_none() && waited_ns >= parameters.max_ns {
            wanted_ns = Some(0);
        }
        if let Some(wanted_ns) = wanted_ns {
            self.poll_time.adjust(wanted_ns, parameters);
        }
        let poll_ns = self.poll_time.ns(parameters);
        self.core
            .stats
            .poll_ns
            .set(u64::try_from(poll_ns).unwrap_or(0));
    }

    fn refresh_pollable(&mut self) {
        let version = self.core.fds.pollable_version();
        if version != self.pollable_version {
            // Those that stay begin anew together with those that come.
            self.stop_polling();
            // Read before the list: a change in between is seen next time.
            self.pollable_version = version;
            self.pollable = self.core.fds.pollable();
        }
    }

    /// Polls for at most the polling time. Returns whether something was found, and leaves handlers in `ready`.
    fn poll(
        &mut self,
        start_ns: i64,
        timeout_ns: Option<i64>,
        parameters: &PollParameters,
    ) -> io::Result<bool> {
        let poll_ns = self.poll_time.ns(parameters);
        let limit_ns = timeout_ns.map_or(poll_ns, |timeout_ns| timeout_ns.min(poll_ns));
        if limit_ns <= 0 {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.polling, true) {
            for inner in &self.pollable {
                inner.poll_begin();
            }
        }
        let mut found = false;
        let mut n_looks: u32 = 0;
        loop {
            found |= self.poll_once();
            n_looks += 1;
            if !found && n_looks.is_multiple_of(POLLS_PER_LOOK) && self.core.fds.any_late() {
                self.wait_for_events(Some(0))?;
                found = !self.ready.is_empty();
            }
            if found || monotonic_ns().saturating_sub(start_ns) >= limit_ns {
                break;
            }
            std::hint::spin_loop();
        }
        let stats = &self.core.stats;
        match found {
            // The handlers stay in polling mode until the loop has to sleep.
            true => stats.successful_polls.add(1),
            false => stats.failed_polls.add(1),
        }
        Ok(found)
    }

    /// Leaves polling mode. Returns whether a last look has found something.
    fn stop_polling(&mut self) -> bool {
        if !std::mem::take(&mut self.polling) {
            return false;
        }
        for inner in &self.pollable {
            inner.poll_end();
        }
        // A notification may have been suppressed while it ended.
        self.poll_once()
    }

    fn poll_once(&mut self) -> bool {
        for inner in &self.pollable {
            if inner.poll() {
                self.ready.push((Arc::clone(inner), Readiness::Polled));
            }
        }
        !self.ready.is_empty() || self.core.inbox.notifier().is_notified()
    }

    fn wait_for_events(&mut self, timeout_ns: Option<i64>) -> io::Result<()> {
        self.unlooked = 0;
        self.poller.wait(&self.core, timeout_ns)?;
        let events = &self.poller.events;
        if events.iter().any(|event| event.data.u64() == Alarm::EVENT) {
            self.alarm.fired();
        }
        if !events.is_empty() && self.core.fds.len() > 0 {
            let n_polled = self.ready.len();
            self.core.fds.resolve(events, &mut self.ready);
            self.leave_to_polling(n_polled);
        }
        Ok(())
    }

    /// Those that were found by polling as well have read when their event comes; what else there is is news to them.
    fn leave_to_polling(&mut self, n_polled: usize) {
        if n_polled == 0 {
            return;
        }
        const NEWS: EventFlags = EventFlags::OUT
            .union(EventFlags::PRI)
            .union(EventFlags::RDHUP);
        for (handler, readiness) in self.ready.split_off(n_polled) {
            let is_same =
                |other: &Arc<dyn Watched>| ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&handler));
            let mut polled = self.ready[..n_polled].iter();
            match readiness {
                Readiness::Events(flags) if polled.any(|(other, _)| is_same(other)) => {
                    if flags.intersects(NEWS) {
                        let news = Readiness::Events(flags.intersection(NEWS));
                        self.ready.push((handler, news));
                    }
                }
                Readiness::Events(_) | Readiness::Polled => self.ready.push((handler, readiness)),
            }
        }
    }

    fn dispatch_fds(&mut self) -> bool {
        let any = !self.ready.is_empty();
        for (inner, readiness) in self.ready.drain(..) {
            inner.dispatch(readiness);
        }
        any
    }

    /// Runs what other threads, and callbacks, have handed over up to now.
    fn dispatch_jobs(&mut self, notified: bool) -> bool {
        let due = std::mem::take(&mut self.idle);
        self.idle_due_ns = None;
        for bh in due {
            bh.dispatch(Urgency::Idle);
        }
        if !notified {
            return false;
        }
        self.core.inbox.take_into(&mut self.jobs);
        let mut progress = false;
        for job in self.jobs.drain(..) {
            match job {
                Job::Run(run) => {
                    run();
                    progress = true;
                }
                Job::Flush(last) => drop(last),
                Job::BottomHalf(bh, Urgency::Soon) => {
                    bh.dispatch(Urgency::Soon);
                    progress = true;
                }
                Job::BottomHalf(bh, Urgency::Idle) => self.idle.push(bh),
            }
        }
        if !self.idle.is_empty() {
            self.idle_due_ns = Some(monotonic_ns().saturating_add(IDLE_BH_NS));
        }
        progress
    }
}

/// Tells of a failure for which there is no hook: a thread does not end in silence.
fn report(failure: &LoopFailure) {
    // Without a standard error stream it cannot be told.
    let _ = writeln!(io::stderr(), "{failure}");
}
