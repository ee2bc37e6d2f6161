//! The main loop: the same event loop on a thread of the program's own, which needs no holders.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::thread;

use crate::builder::CreateError;
use crate::context::{
    AioContext, ContextError, Core, EventLoop, Hooks, LoopFailure, LoopKind, LoopStats, OnMain,
    PanicReport, PauseAll, Target, ThreadStart, VirtualClock, Wait,
};
use crate::parameters::{Parameter, ParameterError, Parameters};
use crate::registry::Registry;
use crate::sync::Arc;

/// Describes a main loop to be created.
#[must_use = "no loop exists before `build`"]
pub struct MainLoopBuilder {
    name: String,
    parameters: Parameters,
    virtual_clock: Option<VirtualClock>,
    hooks: Hooks,
}

impl fmt::Debug for MainLoopBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainLoopBuilder")
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

impl MainLoopBuilder {
    /// Sets one parameter; [`build`](Self::build) checks them all.
    pub fn parameter(mut self, parameter: Parameter, value: i64) -> Self {
        self.parameters.set(parameter, value);
        self
    }

    /// Sets all parameters. A main loop does not poll unless poll-max-ns says so.
    pub fn parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// Names the context; `main-loop` otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives the context a virtual clock instead of that of the process's registry.
    pub fn virtual_clock(mut self, clock: &VirtualClock) -> Self {
        self.virtual_clock = Some(clock.clone());
        self
    }

    /// Receives the reports of callbacks that panic.
    pub fn on_panic(mut self, hook: impl Fn(&PanicReport) + Send + Sync + 'static) -> Self {
        self.hooks.panic = Some(Arc::new(hook));
        self
    }

    /// Is told at the start of each worker thread, on that thread and before it does anything else; the loop's own thread is
    /// the caller's. It is the place for affinity, scheduling, a signal mask or a seccomp filter. A worker that it refuses
    /// counts as one that the host refuses: the work waits for others, or the loop does it.
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

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// [`CreateError::Parameter`], or [`CreateError::Host`]: EMFILE or ENFILE, if there are no two file descriptors left, or
    /// ENOMEM.
    pub fn build(self) -> Result<MainLoop, CreateError> {
        self.parameters.validate()?;
        let clock = self
            .virtual_clock
            .unwrap_or_else(|| Registry::global().virtual_clock().clone());
        let name = self.name.clone();
        let core = Core::new(
            LoopKind::Main,
            self.name,
            &self.parameters,
            clock,
            self.hooks,
        )
        .map_err(|source| CreateError::Host { id: name, source })?;
        core.apply_pool_limits();
        core.set_owner();
        let context = AioContext::without_holder(Arc::clone(&core));
        Ok(MainLoop {
            event_loop: EventLoop::new(core),
            context: MainContext {
                context: Arc::new(context),
            },
            stays_here: PhantomData,
        })
    }
}

/// An event loop that runs on the thread that made it, whenever that calls [`run`](Self::run). It cannot be sent to another
/// one, so a wait of its thread for the loop is always known to be for itself, and refused.
///
/// Dropping it does what it has accepted, ends it, and with it everything that is registered. It waits for blocking work
/// and for releases that are to be told to the loop, unless one of these waits for the dropping thread: then a thread of its
/// own does the rest.
#[must_use = "a loop that is dropped ends"]
pub struct MainLoop {
    event_loop: EventLoop,
    context: MainContext,
    /// Keeps the loop from being sent.
    stays_here: PhantomData<*const ()>,
}

impl MainLoop {
    /// Makes a loop with the parameters of a main loop.
    ///
    /// # Errors
    ///
    /// As for [`MainLoopBuilder::build`].
    pub fn new() -> Result<Self, CreateError> {
        Self::builder().build()
    }

    /// Describes a loop.
    pub fn builder() -> MainLoopBuilder {
        MainLoopBuilder {
            name: "main-loop".to_owned(),
            parameters: Parameters::of_main_loop(),
            virtual_clock: None,
            hooks: Hooks::default(),
        }
    }

    /// The loop's context, for any thread. It needs no holder.
    pub fn context(&self) -> MainContext {
        self.context.clone()
    }

    /// What functions ask for that have to run on the main loop. The loop does not run meanwhile: this is for the time before its run,
    /// and after.
    pub fn on_main(&self) -> OnMain<'_> {
        OnMain::new(&self.context)
    }

    /// Runs the loop on this thread until [`MainContext::quit`] is called; that may have happened before.
    ///
    /// # Errors
    ///
    /// The kernel refuses to let the loop wait. It takes nothing new then, does not run again, and does what it has accepted
    /// when it is dropped.
    pub fn run(&mut self) -> Result<(), LoopFailure> {
        self.event_loop.core().set_thread_id();
        self.event_loop.run_until_stopped()
    }

    /// Runs one iteration, which waits for something to do if `may_block` says so. Returns whether anything was done.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn run_once(&mut self, may_block: bool) -> Result<bool, LoopFailure> {
        self.event_loop.core().set_thread_id();
        self.event_loop.run_once(may_block)
    }
}

impl Drop for MainLoop {
    fn drop(&mut self) {
        self.event_loop.core().set_over();
        self.context.release();
        let core = self.event_loop.core();
        core.request_stop();
        let rest = Arc::clone(core);
        if let Some(_wait) = Wait::begin(|| Target::Rest(Arc::clone(&rest))) {
            self.event_loop.run_to_end(None);
        } else {
            let run = move || EventLoop::new(rest).run_to_end(None);
            let thread = thread::Builder::new().name(self.context.name().to_owned());
            // Nobody is told of the end. A host without threads left makes completions wait for ever, which is all that can
            // be done for them here.
            let _ = thread.spawn(run);
        }
    }
}

impl fmt::Debug for MainLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainLoop")
            .field("name", &self.context.name())
            .finish_non_exhaustive()
    }
}

/// The context of a [`MainLoop`]. Clones are the same context.
#[derive(Clone)]
pub struct MainContext {
    context: Arc<AioContext>,
}

impl MainContext {
    /// Lets the loop's run return after the iteration that is under way.
    pub fn quit(&self) {
        self.core().request_stop();
    }

    /// As [`post`](AioContext::post), for a closure that is given what functions ask for that have to run on the main loop.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`] once the loop is gone.
    pub fn run(&self, task: impl FnOnce(OnMain<'_>) + Send + 'static) -> Result<(), ContextError> {
        self.post(move |dispatch| task(OnMain::new(dispatch.context())))
    }

    /// As [`Dispatch::on_main`](crate::Dispatch::on_main) for code without a [`Dispatch`](crate::Dispatch), such as a future; `None` if
    /// it is not the loop that runs it.
    pub fn here(&self) -> Option<OnMain<'_>> {
        self.is_current().then(|| OnMain::new(self))
    }

    /// Kernel's id of the thread that first ran the loop.
    pub fn thread_id(&self) -> Option<u32> {
        self.core().thread_id()
    }

    /// The parameters at this moment.
    pub fn parameters(&self) -> Parameters {
        self.core().parameters()
    }

    /// Changes a parameter of the loop.
    ///
    /// # Errors
    ///
    /// A value that the parameter cannot take, by itself or beside the others; nothing is changed then.
    pub fn set_parameter(&self, parameter: Parameter, value: i64) -> Result<(), ParameterError> {
        self.core().set_parameter(parameter, value)
    }

    /// Lets no callback of any user of the loop start until the value is dropped; see [`Pause`](crate::Pause).
    pub fn pause_all(&self) -> PauseAll {
        PauseAll::new(self.core())
    }

    /// The last panic of a callback, if there was any.
    pub fn last_panic(&self) -> Option<PanicReport> {
        self.core().last_panic()
    }
}

impl Deref for MainContext {
    type Target = AioContext;

    fn deref(&self) -> &AioContext {
        &self.context
    }
}

impl fmt::Debug for MainContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainContext")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
