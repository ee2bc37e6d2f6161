//! How loops are described and created.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::Pid;
use thiserror::Error;

use crate::context::{
    Core, EventLoop, LoopFailure, LoopKind, LoopStats, PanicReport, Setup, ThreadRole, ThreadStart,
    VirtualClock, number_of,
};
use crate::debug::debug_by;
use crate::holder::HolderChange;
use crate::main_loop::MainLoop;
use crate::parameters::{Parameter, ParameterError, Parameters};
use crate::sync::Arc;
use crate::thread::{IoThread, Registry};
use crate::trace;

/// Describes a loop to be created: an IOThread ([`IoThreadBuilder`]) or a main loop ([`MainLoopBuilder`]).
#[must_use = "no loop exists before `spawn` or `build`"]
pub struct LoopBuilder<L> {
    setup: Setup,
    of_kind: L,
}

/// Describes an IOThread to be created.
pub type IoThreadBuilder = LoopBuilder<OfIoThread>;

/// Describes a main loop to be created. It does not poll unless it is told to.
pub type MainLoopBuilder = LoopBuilder<OfMainLoop>;

/// What only IOThreads are described by.
#[derive(Debug, Default)]
pub struct OfIoThread {
    registry: Option<Registry>,
    stack_size: Option<usize>,
    internal: bool,
}

/// What only main loops are described by: nothing.
#[derive(Debug, Default)]
pub struct OfMainLoop(());

/// Why an event loop could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The id is not an identifier: a letter, then letters, digits, `-`, `.` and `_`.
    #[error("'{id}' is not an identifier")]
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

impl<L> LoopBuilder<L> {
    /// Sets one parameter in the terms of its property; all are checked when the loop is created.
    pub fn parameter(mut self, parameter: Parameter, value: i64) -> Self {
        self.setup.parameters.set(parameter, value);
        self
    }

    /// Sets all parameters.
    pub fn parameters(mut self, parameters: Parameters) -> Self {
        self.setup.parameters = parameters;
        self
    }

    /// Longest polling time (default 32,768 ns, and zero on a main loop); zero switches polling off.
    pub fn poll_max(mut self, time: Duration) -> Self {
        self.setup.parameters.set_poll_max(time);
        self
    }

    /// Factor by which the polling time grows; 0 stands for the default, 2.
    pub fn poll_grow(self, factor: u32) -> Self {
        self.parameter(Parameter::PollGrow, factor.into())
    }

    /// Divisor by which the polling time shrinks; 0 stands for the default, 2.
    pub fn poll_shrink(self, divisor: u32) -> Self {
        self.parameter(Parameter::PollShrink, divisor.into())
    }

    /// Weight of a new event interval, as a shift by at most 63; 0 stands for the default, 3.
    pub fn poll_weight(self, shift: u8) -> Self {
        self.parameter(Parameter::PollWeight, shift.into())
    }

    /// Largest batch of the AIO engine (default 0, the engine's own); see [`Parameters::aio_max_batch`].
    pub fn aio_max_batch(self, n_requests: u32) -> Self {
        self.parameter(Parameter::AioMaxBatch, n_requests.into())
    }

    /// Number of worker threads that stay although there is no work (default 0).
    pub fn thread_pool_min(self, n_workers: u32) -> Self {
        self.parameter(Parameter::ThreadPoolMin, n_workers.into())
    }

    /// Largest number of worker threads (default 64); not 0.
    pub fn thread_pool_max(self, n_workers: u32) -> Self {
        self.parameter(Parameter::ThreadPoolMax, n_workers.into())
    }

    /// Gives the context a virtual clock instead of the registry's.
    pub fn virtual_clock(mut self, clock: &VirtualClock) -> Self {
        self.setup.virtual_clock = Some(clock.clone());
        self
    }

    /// Receives the reports of callbacks that panic, on the thread that panicked.
    pub fn on_panic(mut self, hook: impl Fn(&PanicReport) + Send + Sync + 'static) -> Self {
        self.setup.hooks.panic = Some(Arc::new(hook));
        self
    }

    /// Is told at the start of each worker thread and of an IOThread itself, on that thread and before it does anything else. It is the
    /// place for affinity, scheduling, a signal mask or a seccomp filter. If it refuses an IOThread, that is the error of
    /// [`spawn`](LoopBuilder::spawn). A worker that it refuses counts as one that the host refuses: the work waits for others, or
    /// the loop does it.
    pub fn on_thread_start(
        mut self,
        hook: impl Fn(&ThreadStart<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.setup.hooks.start = Some(Arc::new(hook));
        self
    }

    /// Is told after each iteration what the loop has done so far, on its thread. It runs often, so it should be quick.
    pub fn on_iteration(mut self, hook: impl Fn(&LoopStats) + Send + Sync + 'static) -> Self {
        self.setup.hooks.iteration = Some(Arc::new(hook));
        self
    }

    /// Sets the size of the stacks of worker threads in bytes; otherwise it is that of the standard library, 2 MiB.
    pub fn worker_stack_size(mut self, n_bytes: usize) -> Self {
        self.setup.hooks.worker_stack_size = Some(n_bytes);
        self
    }
}

impl LoopBuilder<OfMainLoop> {
    /// Names the context; `main-loop` otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.setup.name = name.into();
        self
    }

    /// Makes the loop, which belongs to this thread.
    ///
    /// # Errors
    ///
    /// [`CreateError::Parameter`], or [`CreateError::Host`]: EMFILE or ENFILE, if there are no two file descriptors left, or ENOMEM.
    pub fn build(self) -> Result<MainLoop, CreateError> {
        let core = create(self.setup, Registry::global())?;
        core.apply_pool_limits();
        core.set_owner();
        Ok(MainLoop::of(core))
    }
}

impl LoopBuilder<OfIoThread> {
    /// Lists the thread in `registry` instead of the process's own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.of_kind.registry = Some(registry.clone());
        self
    }

    /// Is told, on the thread, if the kernel refuses to let it wait for events. The thread does nothing more then, takes
    /// nothing new, and is there until it is deleted; most programs can only end. Without a hook the failure is printed on the
    /// standard error. [`IoThread::failure`] has it, too.
    pub fn on_failure(mut self, hook: impl Fn(&LoopFailure) + Send + Sync + 'static) -> Self {
        self.setup.hooks.failure = Some(Arc::new(hook));
        self
    }

    /// Sets the size of the stack of the loop's thread in bytes; otherwise it is that of the standard library, 2 MiB.
    pub fn stack_size(mut self, n_bytes: usize) -> Self {
        self.of_kind.stack_size = Some(n_bytes);
        self
    }

    /// Is told of each holder that comes or goes, in the step that records it, on whatever thread that is. Nobody else can take hold of
    /// the thread or release it meanwhile, so the hook has to be quick, and must not do anything with the thread itself.
    pub fn on_holders_changed(
        mut self,
        hook: impl Fn(&HolderChange<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.setup.hooks.holders = Some(Arc::new(hook));
        self
    }

    /// Makes a thread for the program's own ends: not listed under `/objects`, with ids of its own.
    pub fn internal(mut self) -> Self {
        self.of_kind.internal = true;
        self
    }

    /// Creates the thread. It inherits the caller's scheduling and affinity, is named `IO ID` (cut to the kernel's
    /// 15 bytes), and its kernel id is known when this returns. It lives until it is deleted.
    ///
    /// # Errors
    ///
    /// An id that is not an identifier or is in use, or a bad parameter. [`CreateError::Host`] with EAGAIN if the host or the limits of
    /// the process allow no further thread, EMFILE or ENFILE if there are no two file descriptors left, or ENOMEM.
    pub fn spawn(self) -> Result<IoThread, CreateError> {
        let Self { setup, of_kind } = self;
        let id = setup.name.clone();
        if !is_identifier(&id) {
            return Err(CreateError::BadId { id });
        }
        setup.parameters.validate()?;
        let registry = of_kind
            .registry
            .unwrap_or_else(|| Registry::global().clone());
        let Some(place) = registry.reserve(&id, of_kind.internal) else {
            return Err(CreateError::Duplicate { id });
        };
        let core = create(setup, &registry)?;
        let (join, kernel_id) =
            start(&core, of_kind.stack_size).map_err(|source| CreateError::Host { id, source })?;
        let number = place.number();
        let thread = IoThread::new(core, kernel_id, of_kind.internal, Box::new(place), join);
        registry.list(number, &thread);
        Ok(thread)
    }
}

impl MainLoop {
    /// Describes a loop.
    pub fn builder() -> MainLoopBuilder {
        let name = "main-loop".to_owned();
        let setup = Setup::new(LoopKind::Main, name, Parameters::of_main_loop());
        LoopBuilder {
            setup,
            of_kind: OfMainLoop(()),
        }
    }

    /// Makes a loop with the parameters of a main loop.
    ///
    /// # Errors
    ///
    /// As for [`MainLoopBuilder::build`].
    pub fn new() -> Result<Self, CreateError> {
        Self::builder().build()
    }
}

impl IoThread {
    /// Describes a thread of that id.
    pub fn builder(id: impl Into<String>) -> IoThreadBuilder {
        let setup = Setup::new(LoopKind::IoThread, id.into(), Parameters::default());
        LoopBuilder {
            setup,
            of_kind: OfIoThread::default(),
        }
    }
}

debug_by!(LoopBuilder, [impl<L>] LoopBuilder<L>, |it| name = it.setup.name, parameters = it.setup.parameters);

/// Makes a loop that does not run yet.
fn create(setup: Setup, registry: &Registry) -> Result<Arc<Core>, CreateError> {
    setup.parameters.validate()?;
    let id = setup.name.clone();
    Core::new(setup, registry.virtual_clock()).map_err(|source| CreateError::Host { id, source })
}

/// Starts the thread, and waits until it knows its id.
fn start(core: &Arc<Core>, stack_size: Option<usize>) -> io::Result<(JoinHandle<()>, Pid)> {
    let (started, ready) = mpsc::channel();
    let thread_core = Arc::clone(core);
    // The standard library cuts the name.
    let mut builder = thread::Builder::new().name(format!("IO {}", core.name()));
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    let join = builder.spawn(move || {
        let hooks = &thread_core.hooks;
        if let Err(error) = hooks.start_thread(thread_core.name(), ThreadRole::Loop) {
            let _ = started.send(Err(error));
            return;
        }
        let kernel_id = thread_core.set_thread_id();
        thread_core.set_owner();
        thread_core.apply_pool_limits();
        // The creator waits for this, or has died of a panic.
        let _ = started.send(Ok(kernel_id));
        trace::started(thread_core.name(), number_of(kernel_id));
        EventLoop::new(Arc::clone(&thread_core)).run_to_end();
        trace::ended(thread_core.name());
        thread_core.ended.finish();
    })?;
    // Nothing before the loop can panic, so there is an id.
    let kernel_id = ready.recv().map_err(io::Error::other)??;
    Ok((join, kernel_id))
}

/// Whether `id` is what an IOThread can be called, in QEMU too: a letter, then letters, digits, `-`, `.` and `_`.
pub fn is_identifier(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}
