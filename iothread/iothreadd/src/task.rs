//! Commands that go on after their handler has returned.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use iothread::MainContext;
use qapi_runtime::Error;

use crate::oneshot;
use crate::sync::Mutex;

/// What a command comes to.
pub(crate) type Work<'w, T> = Pin<Box<dyn Future<Output = T> + Send + 'w>>;

/// Receives it, on the main loop.
pub(crate) type Done<T> = Box<dyn FnOnce(T) + Send>;

/// Begins some work, on the main loop, which then goes on there whenever it can, and calls `done` at its end. If it is over
/// already, what it came to is returned together with `done`, which is not called.
pub(crate) fn start<T: Send + 'static>(
    main: &MainContext,
    work: Work<'static, T>,
    done: Done<T>,
) -> Option<(T, Done<T>)> {
    let task = Arc::new(Task {
        main: main.clone(),
        pending: Mutex::new(Some((work, done))),
    });
    task.poll()
}

/// Waits for some work, for callers that run no loop. The work must not need the main loop.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            // Somebody else may wake this thread, too; then the work is looked at in vain.
            Poll::Pending => thread::park(),
        }
    }
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
    let (sender, receiver) = oneshot::channel();
    main.spawn_blocking(work, move |_, result| {
        // A panic has been reported.
        if let Ok(result) = result {
            sender.send(result);
        }
    })
    .map_err(|error| Error::generic(error.to_string()))?;
    let result = receiver.await;
    result.ok_or_else(|| Error::generic("the work was broken off"))
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Task<T> {
    main: MainContext,
    /// `None` while it is polled by somebody, and for good once it is over.
    pending: Mutex<Option<(Work<'static, T>, Done<T>)>>,
}

impl<T: Send + 'static> Task<T> {
    /// Goes on as far as possible; what it came to and who wants to know it, if it is over.
    fn poll(self: &Arc<Self>) -> Option<(T, Done<T>)> {
        let mut pending = self.pending.lock();
        let (mut work, done) = pending.take()?;
        let waker = Waker::from(Arc::clone(self));
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => Some((result, done)),
            Poll::Pending => {
                *pending = Some((work, done));
                None
            }
        }
    }
}

impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        let main = self.main.clone();
        // The main loop is gone only when nobody is left who waits.
        let _ = main.post(move |_| {
            if let Some((result, done)) = self.poll() {
                done(result);
            }
        });
    }
}
