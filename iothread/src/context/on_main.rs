//! What code is given that has to run on the main loop.

use std::marker::PhantomData;

use super::aio_context::AioContext;

/// Says that the code runs on the thread of a [`MainLoop`](crate::MainLoop), where the loop can run nothing else meanwhile.
///
/// Only the loop gives it: to its callbacks ([`Dispatch::on_main`](crate::Dispatch::on_main)), to closures ([`MainContext::run`](crate::MainContext::run)), and
/// to the thread that made it before and after its run ([`MainLoop::on_main`](crate::MainLoop::on_main)). It cannot be sent or kept, so
/// a function that takes one cannot be called from anywhere else:
///
/// ```
/// use std::sync::mpsc::channel;
/// use iothread::{MainLoop, OnMain};
///
/// fn add_device(main: OnMain<'_>, name: &str) -> String {
///     format!("{name} on {}", main.context().name())
/// }
///
/// let mut main_loop = MainLoop::new()?;
/// assert_eq!(add_device(main_loop.on_main(), "disk0"), "disk0 on main-loop");
/// let context = main_loop.context();
/// let (sent, added) = channel();
/// std::thread::spawn(move || context.run(move |main| drop(sent.send(add_device(main, "disk1")))))
///     .join()
///     .expect("a thread that ends")?;
/// main_loop.run_once(true)?;
/// assert_eq!(added.recv()?, "disk1 on main-loop");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// let main_loop = iothread::MainLoop::new().unwrap();
/// let main = main_loop.on_main();
/// std::thread::scope(|scope| drop(scope.spawn(|| main.context())));
/// ```
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
