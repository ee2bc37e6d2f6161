//! IOThreads: threads that run an event loop and know who holds them.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use thiserror::Error;

use crate::context::{
    AioContext, ContextError, Core, Dispatch, EventLoop, FailureHook, Hooks, LoopFailure,
    LoopStats, PanicReport, PauseAll, Target, ThreadRole, ThreadStart, VirtualClock, Wait,
    number_of, run_start_hook,
};
use crate::held::HeldAioContext;
use crate::holder::{Holder, HolderCounts};
use crate::holders::{Allowed, CloseError, HoldError, NotRecorded, Released, UnrefError};
use crate::info::IoThreadInfo;
use crate::parameters::{Parameter, ParameterError, Parameters};
use crate::registry::{Registry, WeakRegistry};
use crate::sync::{Arc, Mutex};
use crate::trace;

/// Describes an IOThread to be created.
#[must_use = "no thread exists before `spawn`"]
pub struct IoThreadBuilder {
    id: String,
    parameters: Parameters,
    registry: Option<Registry>,
    virtual_clock: Option<VirtualClock>,
    hooks: Hooks,
    stack_size: Option<usize>,
    failure_hook: Option<FailureHook>,
    internal: bool,
}

/// Why an event loop could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The id is not an identifier: a letter, then letters, digits, `-`, `.` and `_`.
    #[error("'{id}' is no identifier")]
    BadId {
        /// The id.
        id: String,
    },
    /// There is an IOThread of this id.
    #[error("there is an IOThread '{id}' already")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// A parameter has a value that it cannot take.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The host refuses the thread or what it needs.
    #[error("cannot create event loop '{id}': {source}")]
    Host {
        /// The id.
        id: String,
        /// What the host says.
        source: io::Error,
    },
}

/// Why an IOThread could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeleteError {
    /// Somebody holds it.
    #[error("IOThread '{id}' is in use, the number of its holders is {n_holders}")]
    InUse {
        /// Id of the IOThread.
        id: String,
        /// How many holders keep it.
        n_holders: usize,
    },
    /// It has been deleted already, or never existed.
    #[error("there is no IOThread '{id}'")]
    NotFound {
        /// Id of the IOThread.
        id: String,
    },
}

/// Why [`IoThread::delete_then`] does not call its callback.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeleteThenError {
    /// The thread could not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The thread is deleted, but the context that was to be told of the end takes nothing any more.
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl From<CreateError> for io::Error {
    fn from(error: CreateError) -> Self {
        let kind = match &error {
            CreateError::BadId { .. } | CreateError::Parameter(_) => io::ErrorKind::InvalidInput,
            CreateError::Duplicate { .. } => io::ErrorKind::AlreadyExists,
            CreateError::Host { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

impl fmt::Debug for IoThreadBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoThreadBuilder")
            .field("id", &self.id)
            .field("parameters", &self.parameters)
            .field("internal", &self.internal)
            .finish_non_exhaustive()
    }
}

impl IoThreadBuilder {
    fn new(id: String) -> Self {
        Self {
            id,
            parameters: Parameters::default(),
            registry: None,
            virtual_clock: None,
            hooks: Hooks::default(),
            stack_size: None,
            failure_hook: None,
            internal: false,
        }
    }

    /// Sets one parameter in the terms of its property; [`spawn`](Self::spawn) checks them all.
    pub fn parameter(mut self, parameter: Parameter, value: i64) -> Self {
        self.parameters.set(parameter, value);
        self
    }

    /// Sets all parameters.
    pub fn parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// Longest polling time (default 32,768 ns); zero switches polling off.
    pub fn poll_max(mut self, time: Duration) -> Self {
        self.parameters.set_poll_max(time);
        self
    }

    /// Factor by which the polling time grows; 0 stands for the default, 2.
    pub fn poll_grow(mut self, factor: u32) -> Self {
        self.parameters.set_poll_grow(factor);
        self
    }

    /// Divisor by which the polling time shrinks; 0 stands for the default, 2.
    pub fn poll_shrink(mut self, divisor: u32) -> Self {
        self.parameters.set_poll_shrink(divisor);
        self
    }

    /// Weight of a new event interval, as a shift by at most 63; 0 stands for the default, 3.
    pub fn poll_weight(mut self, shift: u8) -> Self {
        self.parameters.set_poll_weight(shift);
        self
    }

    /// Largest batch of the AIO engine (default 0, the engine's own); see [`AioContext::aio_max_batch`].
    pub fn aio_max_batch(mut self, n_requests: u32) -> Self {
        self.parameters.set_aio_max_batch(n_requests);
        self
    }

    /// Number of worker threads that stay although there is no work (default 0).
    pub fn thread_pool_min(mut self, n_workers: u32) -> Self {
        self.parameters.set_thread_pool_min(n_workers);
        self
    }

    /// Largest number of worker threads (default 64); not 0.
    pub fn thread_pool_max(mut self, n_workers: u32) -> Self {
        self.parameters.set_thread_pool_max(n_workers);
        self
    }

    /// Lists the thread in `registry` instead of the process's own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Gives the context a virtual clock instead of the registry's.
    pub fn virtual_clock(mut self, clock: &VirtualClock) -> Self {
        self.virtual_clock = Some(clock.clone());
        self
    }

    /// Receives the reports of callbacks that panic, on the thread that panicked.
    pub fn on_panic(mut self, hook: impl Fn(&PanicReport) + Send + Sync + 'static) -> Self {
        self.hooks.panic = Some(Arc::new(hook));
        self
    }

    /// Is told, on the thread, if the kernel refuses to let it wait for events. The thread serves nobody any more then, takes
    /// nothing new, and is there until it is deleted; most programs can only end. Without a hook the failure is printed on the
    /// standard error. [`IoThread::failure`] has it, too.
    pub fn on_failure(mut self, hook: impl Fn(&LoopFailure) + Send + Sync + 'static) -> Self {
        self.failure_hook = Some(Arc::new(hook));
        self
    }

    /// Is told at the start of each thread of the loop, on that thread and before it does anything else: the loop's own and its workers, the place for
    /// affinity, scheduling, a signal mask or a seccomp filter. An error of it is that of [`spawn`](Self::spawn). A worker that it refuses is one that the host does not have, so the work
    /// waits for others, or is done by the loop.
    pub fn on_thread_start(
        mut self,
        hook: impl Fn(&ThreadStart<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.start = Some(Arc::new(hook));
        self
    }

    /// Is told after each iteration what the loop has done so far, on its thread. It runs often, so it should be quick.
    pub fn on_iteration(mut self, hook: impl Fn(&LoopStats) + Send + Sync + 'static) -> Self {
        self.hooks.iteration = Some(Arc::new(hook));
        self
    }

    /// Sets the size of the stacks of worker threads in bytes; otherwise it is that of the standard library, 2 MiB.
    pub fn worker_stack_size(mut self, n_bytes: usize) -> Self {
        self.hooks.worker_stack_size = Some(n_bytes);
        self
    }

    /// Sets the size of the stack of the loop's thread in bytes; otherwise it is that of the standard library, 2 MiB.
    pub fn stack_size(mut self, n_bytes: usize) -> Self {
        self.stack_size = Some(n_bytes);
        self
    }

    /// Makes a thread for the program's own ends: not listed under `/objects`, with ids of its own.
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Creates the thread. It inherits the caller's scheduling and affinity, is named `IO ID` (cut to the kernel's
    /// 15 bytes), and its kernel id is known when this returns. It lives until it is deleted.
    ///
    /// # Errors
    ///
    /// An id that is no identifier or in use, or a bad parameter. [`CreateError::Host`] with EAGAIN if the host or the limits of
    /// the process allow no further thread, EMFILE or ENFILE if there are no two file descriptors left, or ENOMEM.
    pub fn spawn(self) -> Result<IoThread, CreateError> {
        if !is_identifier(&self.id) {
            return Err(CreateError::BadId { id: self.id });
        }
        self.parameters.validate()?;
        let registry = self.registry.unwrap_or_else(|| Registry::global().clone());
        let Some(reservation) = registry.reserve(&self.id, self.internal) else {
            return Err(CreateError::Duplicate { id: self.id });
        };
        let clock = self
            .virtual_clock
            .unwrap_or_else(|| registry.virtual_clock().clone());
        let host_error = |source| CreateError::Host {
            id: self.id.clone(),
            source,
        };
        let core =
            Core::new(self.id.clone(), &self.parameters, clock, self.hooks).map_err(host_error)?;
        let (join, kernel_id) =
            start(&core, self.stack_size, self.failure_hook).map_err(host_error)?;
        let thread = IoThread {
            inner: Arc::new(Inner {
                core,
                kernel_id,
                internal: self.internal,
                registry: registry.downgrade(),
                thread: Mutex::new(Some(join)),
            }),
        };
        reservation.fill(&thread);
        Ok(thread)
    }
}

/// Starts the thread, and waits until it knows its id.
fn start(
    core: &Arc<Core>,
    stack_size: Option<usize>,
    failure_hook: Option<FailureHook>,
) -> io::Result<(JoinHandle<()>, Pid)> {
    let (started, ready) = mpsc::channel();
    let thread_core = Arc::clone(core);
    // The standard library cuts the name.
    let mut builder = thread::Builder::new().name(format!("IO {}", core.name()));
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    let join = builder.spawn(move || {
        let outcome = run_start_hook(
            thread_core.start_hook(),
            thread_core.name(),
            ThreadRole::Loop,
        );
        if let Err(error) = outcome {
            let _ = started.send(Err(error));
            return;
        }
        let kernel_id = thread_core.set_thread_id();
        thread_core.set_owner();
        thread_core.apply_pool_limits();
        // The creator waits for this, or has died of a panic.
        let _ = started.send(Ok(kernel_id));
        trace::started(thread_core.name(), number_of(kernel_id));
        EventLoop::new(Arc::clone(&thread_core)).run_to_end(failure_hook.as_ref());
        trace::ended(thread_core.name());
        thread_core.ended().finish();
    })?;
    // Nothing before the loop can panic, so there is an id.
    let kernel_id = ready.recv().map_err(io::Error::other)??;
    Ok((join, kernel_id))
}

/// Whether QEMU would take `id`.
fn is_identifier(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// A thread that runs an event loop. Clones are the same thread.
///
/// The thread lives until it is [deleted](Self::delete), which is refused while somebody holds it. Its context is
/// reached only by taking hold of it, with [`get_aio_context`](Self::get_aio_context).
#[derive(Clone)]
pub struct IoThread {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    kernel_id: Pid,
    internal: bool,
    registry: WeakRegistry,
    /// `None` once the thread has been told to end. Locked while anything uses the thread's kernel id.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl IoThread {
    /// Describes a thread of that id.
    pub fn builder(id: impl Into<String>) -> IoThreadBuilder {
        IoThreadBuilder::new(id.into())
    }

    /// The id.
    pub fn id(&self) -> &str {
        self.inner.core.name()
    }

    /// Kernel's id of the thread.
    pub fn thread_id(&self) -> u32 {
        number_of(self.inner.kernel_id)
    }

    /// Whether the thread is one of the program's own, not listed under `/objects`.
    pub fn is_internal(&self) -> bool {
        self.inner.internal
    }

    /// Takes hold of the thread: records `holder` and hands out the context, in one step.
    ///
    /// Takes constant time, however many holders there are.
    ///
    /// # Errors
    ///
    /// The thread has been deleted.
    pub fn get_aio_context(&self, holder: Holder) -> Result<HeldAioContext, HoldError> {
        let core = &self.inner.core;
        trace::held(self.id(), &holder);
        let record = core
            .holders()
            .record_guard(holder)
            .map_err(|NotRecorded| self.deleted())?;
        let context = AioContext::of_record(Arc::clone(core), record);
        Ok(HeldAioContext::new(context))
    }

    /// Records `holder` without handing out the context, until [`unref_holder`](Self::unref_holder) is called as many
    /// times with an equal one.
    ///
    /// # Errors
    ///
    /// As for [`get_aio_context`](Self::get_aio_context).
    pub fn ref_holder(&self, holder: Holder) -> Result<(), HoldError> {
        self.inner
            .core
            .holders()
            .record_named(holder)
            .map_err(|NotRecorded| self.deleted())
    }

    /// Releases the most recent record equal to `holder` that [`ref_holder`](Self::ref_holder) made; never one that a
    /// [`HeldAioContext`] stands for. Takes constant time.
    ///
    /// # Errors
    ///
    /// There is no such record. Differs from QEMU: the series that QEMU was offered aborts.
    pub fn unref_holder(&self, holder: &Holder) -> Result<(), UnrefError> {
        let core = &self.inner.core;
        match core.holders().release_named(holder) {
            Some(released) => {
                core.after_release(released);
                Ok(())
            }
            None => Err(UnrefError::NotHeld {
                id: self.id().to_owned(),
                holder: holder.clone(),
            }),
        }
    }

    fn deleted(&self) -> HoldError {
        HoldError::Deleted {
            id: self.id().to_owned(),
        }
    }

    /// Who holds the thread at this moment, newest first.
    pub fn holders(&self) -> Vec<Holder> {
        self.inner.core.holders().snapshot()
    }

    /// How many holders of each kind there are, in constant time.
    pub fn holder_counts(&self) -> HolderCounts {
        self.inner.core.holders().counts()
    }

    /// The thread at this moment: its entry in `query-iothreads`.
    pub fn info(&self) -> IoThreadInfo {
        IoThreadInfo {
            id: self.id().to_owned(),
            thread_id: self.thread_id(),
            holders: self.holders(),
            parameters: self.parameters(),
        }
    }

    /// The parameters at this moment.
    pub fn parameters(&self) -> Parameters {
        self.inner.core.parameters()
    }

    /// Changes a parameter of the running thread.
    ///
    /// # Errors
    ///
    /// A value that the parameter cannot take, by itself or beside the others; nothing is changed then.
    pub fn set_parameter(&self, parameter: Parameter, value: i64) -> Result<(), ParameterError> {
        self.inner.core.set_parameter(parameter, value)
    }

    /// What the thread's loop has done so far.
    pub fn stats(&self) -> LoopStats {
        self.inner.core.stats()
    }

    /// The last panic of a callback, if there was any.
    pub fn last_panic(&self) -> Option<PanicReport> {
        self.inner.core.last_panic()
    }

    /// Why the thread serves nobody any more, if its wait for events was refused.
    pub fn failure(&self) -> Option<LoopFailure> {
        self.inner.core.failure().cloned()
    }

    /// The CPUs on which the thread may run.
    ///
    /// # Errors
    ///
    /// `NotFound` once the thread has been deleted, and ENOSYS or EPERM where a sandbox does not allow to ask.
    pub fn cpu_affinity(&self) -> io::Result<Vec<usize>> {
        let set = self.with_kernel_id(|id| Ok(sched_getaffinity(Some(id))?))?;
        Ok((0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect())
    }

    /// Sets the CPUs on which the thread may run; its workers that exist keep theirs.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number of a CPU beyond what the kernel can have, and if none of the CPUs is there or allowed;
    /// `NotFound` once the thread has been deleted; ENOSYS or EPERM where a sandbox does not allow it.
    pub fn set_cpu_affinity(&self, cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            if cpu >= CpuSet::MAX_CPU {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            set.set(cpu);
        }
        self.with_kernel_id(|id| Ok(sched_setaffinity(Some(id), &set)?))
    }

    /// Calls `f` with the kernel's id of the thread, which stays the thread's meanwhile.
    fn with_kernel_id<R>(&self, f: impl FnOnce(Pid) -> io::Result<R>) -> io::Result<R> {
        let thread = self.inner.thread.lock();
        match &*thread {
            Some(_) => f(self.inner.kernel_id),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Deletes the thread: nobody can take hold of it any more, it does what it has accepted, and ends. Waits for that, and
    /// so for the blocking work of holders that have been released; a loop uses [`try_delete`](Self::try_delete) or
    /// [`delete_then`](Self::delete_then).
    ///
    /// It goes on without waiting where that would be for itself: on the thread itself, on one of its workers, and where any
    /// of these waits for the caller.
    ///
    /// # Errors
    ///
    /// [`DeleteError::InUse`] while somebody holds it who has not been released. Differs from QEMU: there it vanishes from
    /// view, and lives on.
    pub fn delete(&self) -> Result<(), DeleteError> {
        self.close(Allowed::Leaving)?;
        self.inner.end();
        Ok(())
    }

    /// As [`delete`](Self::delete), but refused as long as anything of a holder is left, released or not: exactly while
    /// [`holders`](Self::holders) are listed. So it does not wait for anybody's work, and suits a loop.
    ///
    /// # Errors
    ///
    /// [`DeleteError::InUse`] while a holder is listed.
    pub fn try_delete(&self) -> Result<(), DeleteError> {
        self.close(Allowed::None)?;
        self.inner.end();
        Ok(())
    }

    /// As [`delete`](Self::delete) without waiting: when the loop has ended, `callback` runs on `context`.
    ///
    /// # Errors
    ///
    /// As for [`delete`](Self::delete), and [`DeleteThenError::Context`] if `context` does not take the callback: the thread is
    /// deleted then, and nobody is told of its end.
    pub fn delete_then(
        &self,
        context: &AioContext,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), DeleteThenError> {
        self.close(Allowed::Leaving)?;
        let core = &self.inner.core;
        let delivery = context.expect(|| Target::End(Arc::clone(core)), callback);
        // Dropping the handle detaches the thread, which ends by itself.
        drop(self.inner.thread.lock().take());
        core.request_stop();
        let delivery = delivery?;
        core.ended().then(move || delivery.deliver());
        Ok(())
    }

    /// Forbids to take hold of the thread.
    fn close(&self, allowed: Allowed) -> Result<(), DeleteError> {
        let id = || self.id().to_owned();
        match self.inner.core.holders().close(allowed) {
            Ok(()) => {}
            Err(CloseError::Held(n_holders)) => {
                return Err(DeleteError::InUse {
                    id: id(),
                    n_holders,
                });
            }
            Err(CloseError::AlreadyClosed) => return Err(DeleteError::NotFound { id: id() }),
        }
        if let Some(registry) = self.inner.registry.upgrade() {
            registry.remove(self);
        }
        Ok(())
    }

    /// Lets no callback of any holder start until the value is dropped; see [`Pause`](crate::Pause).
    pub fn pause_all(&self) -> PauseAll {
        PauseAll::new(&self.inner.core)
    }

    /// Whether both are the same thread.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl fmt::Debug for IoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoThread")
            .field("id", &self.id())
            .field("thread_id", &self.thread_id())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Ends the thread and waits for it.
    fn end(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        self.core.request_stop();
        // One that this thread would wait for in vain ends later by itself.
        if let Some(_wait) = Wait::begin(|| Target::End(Arc::clone(&self.core))) {
            // Callbacks are contained, so the thread does not panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    /// Without handles and registry, only holders are left to want the thread.
    fn drop(&mut self) {
        match self.core.holders().abandon() {
            Released::EndThread => self.end(),
            Released::StillWanted => {}
        }
    }
}
