//! Commands that go on after their handler has returned.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use iothread::{MainContext, OnMain};
use qapi_runtime::Error;

use crate::finally::Finally;
use crate::oneshot;

/// What a command comes to.
pub(crate) type Work<'w, T> = Pin<Box<dyn Future<Output = T> + Send + 'w>>;

/// Receives it, on the main loop.
pub(crate) type Done<T> = Box<dyn FnOnce(T) + Send>;

/// Begins some work, on the main loop, which then goes on there whenever it can, and calls `done` at its end. If it is over
/// already, what it came to is returned together with `done`, which is not called.
pub(crate) fn start<T: Send + 'static>(
    main: &MainContext,
    mut work: Work<'static, T>,
    done: Done<T>,
) -> Option<(T, Done<T>)> {
    // What is not over is looked at once more, with somebody to wake.
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some((result, done)),
        Poll::Pending => {
            // The main loop is gone only when nothing waits for it any more, and the outcome does not matter.
            let _ = main.spawn_future(async move { done(work.await) });
            None
        }
    }
}

/// What those ask for who change what only the main loop may; for commands, which may have to wait and then go on.
///
/// # Errors
///
/// This is another thread.
pub(crate) fn here(main: &MainContext) -> Result<OnMain<'_>, Error> {
    let elsewhere = || Error::generic("this is done on the main loop alone");
    main.here().ok_or_else(elsewhere)
}

/// Lets a worker do what blocks, and waits for it.
///
/// # Errors
///
/// The worker did not come to an end.
pub(crate) async fn on_worker<T: Send + 'static>(
    main: &MainContext,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let worker = main.run_blocking(work);
    let worker = worker.map_err(|error| Error::generic(error.to_string()))?;
    // A panic has been reported.
    let result = worker.await;
    result.map_err(|_| Error::generic("the work was broken off"))
}

/// Begins something, and waits until all of it is over that goes on elsewhere: until nobody has a clone of what `begin` is
/// given.
///
/// # Errors
///
/// This is another thread than the main loop's; nothing is begun then.
pub(crate) async fn see_through<T>(
    main: &MainContext,
    begin: impl FnOnce(OnMain<'_>, &Finally) -> T,
) -> Result<T, Error> {
    let (sender, over) = oneshot::channel();
    let last = Finally::new(main, move |_| sender.send(()));
    let begun = {
        let main = here(main)?;
        let begun = begin(main, &last);
        last.or_now(main);
        begun
    };
    // Without a main loop there is nothing to wait for.
    let _ = over.await;
    Ok(begun)
}
