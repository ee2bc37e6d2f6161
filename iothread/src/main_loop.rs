//! The main loop: the same event loop on a thread of the program's own, which needs no holders.

use std::marker::PhantomData;
use std::ops::Deref;
use std::thread;

use crate::context::{
    AioContext, ContextError, Core, EventLoop, LoopFailure, OnMain, PauseAll, Target, Wait,
};
use crate::debug::debug_by;
use crate::held::SharedContext;
use crate::parameters::{Parameter, ParameterError};
use crate::sync::Arc;

/// An event loop that runs on the thread that made it, whenever that calls [`run`](Self::run). It cannot be sent to another
/// one, so a wait of its thread for the loop is always known to be for itself, and refused.
///
/// Dropping it does what it has accepted, ends it, and with it everything that is registered. It waits for blocking work and for releases
/// that are to be told to the loop, unless one of these waits for the dropping thread: then a thread of its own does the rest.
#[must_use = "a loop that is dropped ends"]
pub struct MainLoop {
    event_loop: EventLoop,
    context: MainContext,
    /// Keeps the loop from being sent.
    stays_here: PhantomData<*const ()>,
}

impl MainLoop {
    pub(crate) fn of(core: Arc<Core>) -> Self {
        let context = Arc::new(AioContext::new(Arc::clone(&core), None));
        Self {
            event_loop: EventLoop::new(core),
            context: MainContext { context },
            stays_here: PhantomData,
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
        if let Some(_wait) = Wait::begin(|| Target::Rest(Arc::<Core>::clone(&rest))) {
            self.event_loop.run_to_end();
        } else {
            let run = move || EventLoop::new(rest).run_to_end();
            let thread = thread::Builder::new().name(self.context.name().to_owned());
            // The end is not told. A host without threads left makes completions wait for ever, which is all that can
            // be done for them here.
            let _ = thread.spawn(run);
        }
    }
}

debug_by!(MainLoop, [impl] MainLoop, |it| name = it.context.name());

/// The context of a [`MainLoop`]. Clones are the same context.
#[derive(Debug, Clone)]
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

    /// Makes a user of the main loop, told apart from all others: what is registered or handed over through the returned value ends
    /// with it, and with the loop.
    pub fn share(&self) -> SharedContext {
        SharedContext::on_main(&self.context)
    }

    /// Kernel's id of the thread that first ran the loop.
    pub fn thread_id(&self) -> Option<u32> {
        self.core().thread_id()
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
}

impl Deref for MainContext {
    type Target = AioContext;

    fn deref(&self) -> &AioContext {
        &self.context
    }
}
