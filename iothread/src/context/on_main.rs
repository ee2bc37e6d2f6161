//! What code is given that has to run on the main loop.

use std::marker::PhantomData;

use super::aio_context::AioContext;

/// Says that the code runs on the thread of a [`MainLoop`](crate::MainLoop), where the loop can run nothing else meanwhile.
///
/// Only the loop gives it: to its callbacks ([`Dispatch::on_main`](crate::Dispatch::on_main)), to closures
/// ([`MainContext::run`](crate::MainContext::run)), and to the thread that made it before and after its run
/// ([`MainLoop::on_main`](crate::MainLoop::on_main)). It cannot be sent or kept, so a function that takes one
/// [cannot be called](crate#what-runs-where-and-in-which-order) from anywhere else.
#[derive(Debug, Clone, Copy)]
pub struct OnMain<'a> {
    context: &'a AioContext,
    /// Keeps it from being sent, and from being lent to another thread.
    stays_here: PhantomData<*const ()>,
}

impl<'a> OnMain<'a> {
    /// For code that runs on the thread of the main loop that `context` is of.
    pub(crate) fn new(context: &'a AioContext) -> Self {
        Self {
            context,
            stays_here: PhantomData,
        }
    }

    /// The context of the loop, as the user of the code sees it.
    pub fn context(self) -> &'a AioContext {
        self.context
    }
}
