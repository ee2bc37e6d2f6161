//! How an IOThread is described and created.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::Pid;
use thiserror::Error;

use crate::context::{
    Core, EventLoop, FailureHook, Hooks, LoopFailure, LoopKind, LoopStats, PanicReport, ThreadRole,
    ThreadStart, VirtualClock, number_of, run_start_hook,
};
use crate::parameters::{Parameter, ParameterError, Parameters};
use crate::registry::Registry;
use crate::sync::Arc;
use crate::thread::IoThread;
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
    pub(crate) fn new(id: String) -> Self {
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

    /// Is told at the start of each thread of the loop, the loop's own and its workers, on that thread and before it does
    /// anything else. It is the place for affinity, scheduling, a signal mask or a seccomp filter. An error of it is that of
    /// [`spawn`](Self::spawn). A worker that it refuses counts as one that the host refuses: the work waits for others, or
    /// the loop does it.
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
        let core = Core::new(
            LoopKind::IoThread,
            self.id.clone(),
            &self.parameters,
            clock,
            self.hooks,
        )
        .map_err(host_error)?;
        let (join, kernel_id) =
            start(&core, self.stack_size, self.failure_hook).map_err(host_error)?;
        let thread = IoThread::new(core, kernel_id, self.internal, &registry, join);
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
