//! What a loop and everybody who reaches it share.

use std::cell::Cell;
use std::io;
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use nix::sys::epoll::Epoll;
use rustix::event::epoll;
use rustix::thread::Pid;

use super::clock::{Clock, Clocked, VirtualClock, duration, monotonic_ns, real_ns};
use super::contain::{CallbackKind, PanicReport, contain, report};
use super::failure::{ContextError, LoopFailure};
use super::fd_table::FdTable;
use super::inbox::{Closed, Inbox};
use super::pool::{Outlook, Pool};
use super::schedule::Urgency;
use super::setup::{Hooks, LoopKind, Setup};
use super::stats::{LoopStats, StatCells};
use super::timers::Timers;
use super::users::Users;
use super::wait::{Awaited, Deliveries, await_this_thread};
use crate::ending::Ending;
use crate::holder::Holder;
use crate::holders::{Attachment, Holders, Released, Running};
use crate::parameters::{Parameter, ParameterCells, ParameterError, Parameters};
use crate::slab::Key;
use crate::sync::{Arc, AtomicBool, Mutex, OnceLock, Ordering};

/// Marks the eventfd among the events of epoll; no key of a handler is that large in practice.
pub(super) const WAKE_UP: u64 = u64::MAX;

thread_local! {
    /// The address of the loop that this thread runs right now; no other loop is there meanwhile.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// A thread's kernel id as a number.
pub(crate) fn number_of(thread: Pid) -> u32 {
    thread.as_raw_nonzero().get().unsigned_abs()
}

/// Says that this thread runs a loop, until dropped.
pub(super) struct CurrentGuard(usize);

impl CurrentGuard {
    pub(super) fn enter(core: &Core) -> Self {
        Self(CURRENT.replace(core.address()))
    }
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Work that reaches the loop through its inbox.
pub(super) enum Job {
    Run(Box<dyn FnOnce() + Send>),
    /// To be dropped by a loop that is out of all callbacks: what keeps a user who was released while one of it may have been running.
    Flush(Box<dyn Send>),
    BottomHalf(Arc<dyn Scheduled>, Urgency),
}

/// A bottom half as the loop has it.
pub(super) trait Scheduled: Send + Sync {
    /// Runs the callback if that is still wanted. Only the loop's thread calls this, for each entry once.
    fn dispatch(self: Arc<Self>, urgency: Urgency);
}

/// An event loop without the part that only its own thread touches.
pub(crate) struct Core {
    kind: LoopKind,
    name: String,
    pub(super) inbox: Inbox<Job>,
    pub(super) epoll: Epoll,
    pub(super) fds: FdTable,
    pub(super) timers: Timers,
    pub(super) pool: Pool,
    pub(super) workers: Mutex<Vec<JoinHandle<()>>>,
    pub(super) deliveries: Deliveries,
    pub(super) running: Running,
    pub(super) users: Users,
    pub(super) parameters: ParameterCells,
    /// Held while a parameter is changed.
    parameter_change: Mutex<()>,
    pub(super) stats: StatCells,
    last_panic: Mutex<Option<PanicReport>>,
    pub(crate) hooks: Hooks,
    virtual_clock: VirtualClock,
    pub(crate) holders: Holders,
    stop: AtomicBool,
    /// A main loop that is being dropped.
    is_over: AtomicBool,
    thread_id: OnceLock<Pid>,
    /// The thread that alone runs the loop.
    owner: OnceLock<ThreadId>,
    /// What happens when the loop has ended.
    pub(crate) ended: Ending,
    failure: OnceLock<LoopFailure>,
}

impl Core {
    /// `virtual_clock` is for a loop that was not given another one.
    pub(crate) fn new(setup: Setup, virtual_clock: &VirtualClock) -> io::Result<Arc<Self>> {
        let inbox = Inbox::new()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered, the one exception: each signal is an edge, so that the counter need not be read.
        epoll::add(
            &epoll,
            inbox.notifier().event(),
            epoll::EventData::new_u64(WAKE_UP),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        let holders = Holders::new(setup.hooks.of_holders(&setup.name));
        let core = Arc::new(Self {
            kind: setup.kind,
            name: setup.name,
            inbox,
            epoll: Epoll(epoll),
            fds: FdTable::default(),
            timers: Timers::default(),
            pool: Pool::default(),
            workers: Mutex::default(),
            deliveries: Deliveries::default(),
            running: Running::default(),
            users: Users::default(),
            parameters: ParameterCells::new(&setup.parameters),
            parameter_change: Mutex::new(()),
            stats: StatCells::default(),
            last_panic: Mutex::default(),
            hooks: setup.hooks,
            virtual_clock: setup.virtual_clock.unwrap_or_else(|| virtual_clock.clone()),
            holders,
            stop: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            thread_id: OnceLock::new(),
            owner: OnceLock::new(),
            ended: Ending::default(),
            failure: OnceLock::new(),
        });
        let clocked: Arc<dyn Clocked> = Arc::<Self>::clone(&core);
        core.virtual_clock.add_context(&clocked);
        Ok(core)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Says that the calling thread is the only one that will run the loop.
    pub(crate) fn set_owner(&self) {
        // Called once.
        let _ = self.owner.set(await_this_thread());
    }

    /// Why the loop has ended, if it could not wait.
    pub(crate) fn failure(&self) -> Option<&LoopFailure> {
        self.failure.get()
    }

    /// Takes nothing new any more, since the loop cannot wait. Called by the loop, once.
    pub(super) fn fail(&self, error: io::Error) -> &LoopFailure {
        self.inbox.close_to_new();
        self.failure.get_or_init(|| LoopFailure {
            context: self.name.clone(),
            source: Arc::new(error),
        })
    }

    /// Strikes out the record of a holder of whom nothing is left.
    pub(super) fn strike_out(&self, record: Option<Key>) {
        if let Some(record) = record {
            self.after_release(self.holders.release_guard(record));
        }
    }

    /// Ends the loop if nothing is left that could reach it.
    pub(crate) fn after_release(&self, released: Released) {
        match released {
            Released::EndThread => self.request_stop(),
            Released::StillWanted => {}
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn is_main(&self) -> bool {
        self.kind == LoopKind::Main
    }

    pub(crate) fn is_current(&self) -> bool {
        CURRENT.get() == self.address()
    }

    /// Kernel's id of the thread that runs the loop; known once that has begun.
    pub(crate) fn thread_id(&self) -> Option<u32> {
        self.thread_id.get().copied().map(number_of)
    }

    /// Remembers the calling thread as the loop's own. Returns its kernel's id.
    pub(crate) fn set_thread_id(&self) -> Pid {
        // Each run of a main loop says so again.
        *self.thread_id.get_or_init(rustix::thread::gettid)
    }

    pub(crate) fn parameters(&self) -> Parameters {
        self.parameters.load()
    }

    /// Changes one parameter, if the whole is good then.
    pub(crate) fn set_parameter(
        &self,
        parameter: Parameter,
        value: i64,
    ) -> Result<(), ParameterError> {
        // Two changes at a time could each be good and bad together.
        let _change = self.parameter_change.lock();
        let mut parameters = self.parameters();
        parameters.set(parameter, value);
        parameters.validate()?;
        self.parameters.set(parameter, parameters.get(parameter));
        self.apply_pool_limits();
        // The loop reads the others anew in every iteration, but it may be asleep.
        self.notify();
        Ok(())
    }

    pub(crate) fn stats(&self) -> LoopStats {
        let mut stats = self.stats.load();
        stats.fds = self.fds.len() as u64;
        stats.workers = self.pool.n_workers() as u64;
        stats.work = self.pool.n_work() as u64;
        stats
    }

    pub(crate) fn last_panic(&self) -> Option<PanicReport> {
        self.last_panic.lock().clone()
    }

    pub(crate) fn now(&self, clock: Clock) -> Duration {
        duration(self.now_ns(clock))
    }

    pub(super) fn now_ns(&self, clock: Clock) -> i64 {
        match clock {
            Clock::Monotonic => monotonic_ns(),
            Clock::Real => real_ns(),
            Clock::Virtual => self.virtual_clock.now_ns(),
        }
    }

    /// The time on a clock that runs.
    pub(super) fn running_ns(&self, clock: Clock) -> Option<i64> {
        let is_running = match clock {
            Clock::Monotonic | Clock::Real => true,
            Clock::Virtual => self.virtual_clock.is_running(),
        };
        is_running.then(|| self.now_ns(clock))
    }

    /// Makes the loop look around.
    pub(crate) fn notify(&self) {
        self.count_wakeup(self.inbox.notifier().notify());
    }

    pub(super) fn count_wakeup(&self, signalled: bool) {
        if signalled {
            self.stats.wakeups.add_shared(1);
        }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), ContextError> {
        let signalled = self.inbox.push(job).map_err(|Closed| self.has_ended())?;
        self.count_wakeup(signalled);
        Ok(())
    }

    /// Announces a job that is delivered later.
    pub(super) fn expect_delivery(&self) -> Result<(), ContextError> {
        self.inbox
            .expect_delivery()
            .map_err(|Closed| self.has_ended())
    }

    pub(super) fn has_ended(&self) -> ContextError {
        ContextError::Ended {
            context: self.name.clone(),
        }
    }

    /// Hands over a job that the inbox has been told to expect.
    pub(super) fn deliver(&self, job: Job) {
        self.count_wakeup(self.inbox.deliver(job));
    }

    /// Asks the loop to end as soon as no accepted work is left.
    pub(crate) fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.notify();
    }

    /// Says that the loop takes nothing of anybody any more.
    pub(crate) fn set_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Lets a main loop that has returned from its run be run again.
    pub(crate) fn take_stop_request(&self) -> bool {
        self.stop.swap(false, Ordering::AcqRel)
    }

    /// Tells the hook of an iteration, if there is one.
    pub(super) fn after_iteration(&self) {
        if let Some(hook) = &self.hooks.iteration {
            // A panic has been reported.
            let _ = self.contain(CallbackKind::Hook, None, || hook(&self.stats()));
        }
    }

    /// Runs a callback of `attachment`. A panic is reported and becomes its message.
    pub(super) fn run<R>(
        &self,
        kind: CallbackKind,
        attachment: &Attachment,
        callback: impl FnOnce() -> R,
    ) -> Result<R, String> {
        self.contain(kind, attachment.holder(), callback)
    }

    fn contain<R>(
        &self,
        callback: CallbackKind,
        holder: Option<&Holder>,
        code: impl FnOnce() -> R,
    ) -> Result<R, String> {
        contain(code).inspect_err(|message| {
            // Workers report here, too.
            self.stats.panics.add_shared(1);
            let panic = PanicReport {
                context: self.name.clone(),
                callback,
                holder: holder.cloned(),
                message: message.clone(),
            };
            report(self.hooks.panic.as_ref(), &panic);
            *self.last_panic.lock() = Some(panic);
        })
    }
}

impl Clocked for Core {
    fn look_at_timers(&self) {
        self.notify();
    }
}

impl Awaited for Core {
    fn owner(&self) -> Option<ThreadId> {
        self.owner.get().copied()
    }

    fn work(&self, user: Option<usize>) -> Outlook {
        self.pool.outlook(user)
    }

    fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }
}
