//! Futures on a loop: a bottom half that goes on with one each time it is woken.
use crate::debug::debug_by;

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::oneshot::{self, Canceled};
use thiserror::Error;

use super::aio_context::AioContext;
use super::clock::Clock;
use super::failure::ContextError;
use super::fd::FdWatch;
use super::handler::{FdDispatch, FdHandler};
use super::interest::Interest;
use super::schedule::Urgency;
use super::timer::Timer;

/// Why something that was awaited on a context has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It has ended before: its holder was released, or the main loop is gone.
    #[error("a task on event loop '{context}' was given up")]
    GivenUp {
        /// Name of the context.
        context: String,
    },
    /// It panicked, which has been reported as any panic of a callback.
    #[error("a task on event loop '{context}' panicked")]
    Panicked {
        /// Name of the context.
        context: String,
    },
}

/// The outcome of something that goes on on a context; a future, to be awaited anywhere.
///
/// Dropping it does not end what was begun by `spawn_future` or `run_blocking`. What was only waited for is waited for no more.
#[must_use = "the outcome is lost"]
pub struct Completion<R> {
    context: String,
    outcome: oneshot::Receiver<Result<R, TaskError>>,
    /// What is only there as long as somebody waits.
    _waits_for: Option<WaitsFor>,
}

#[expect(dead_code, reason = "they are kept, and removed when they are dropped")]
enum WaitsFor {
    Time(Timer),
    File(FdWatch),
}

/// Its owner says what the outcome is; if it is dropped there is no outcome.
struct Promise<R> {
    outcome: Option<oneshot::Sender<Result<R, TaskError>>>,
    view: AioContext,
}

impl<R> Promise<R> {
    fn new(context: &AioContext) -> (Self, Completion<R>) {
        let (sender, receiver) = oneshot::channel();
        let promise = Self {
            outcome: Some(sender),
            view: context.share(),
        };
        let completion = Completion {
            context: context.name().to_owned(),
            outcome: receiver,
            _waits_for: None,
        };
        (promise, completion)
    }

    /// Does nothing after the first time.
    fn tell(&mut self, outcome: Result<R, TaskError>) {
        if let Some(sender) = self.outcome.take() {
            // It may not be waited for.
            let _ = sender.send(outcome);
        }
    }

    fn keep(&mut self, outcome: R) {
        self.tell(Ok(outcome));
    }

    fn break_by_panic(&mut self) {
        let context = self.view.name().to_owned();
        self.tell(Err(TaskError::Panicked { context }));
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        if self.view.is_released() {
            let context = self.view.name().to_owned();
            self.tell(Err(TaskError::GivenUp { context }));
        } else {
            self.break_by_panic();
        }
    }
}

impl<R> Future for Completion<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.outcome).poll(context) {
            Poll::Ready(Ok(outcome)) => Poll::Ready(outcome),
            // Or it was taken before: every promise says something.
            Poll::Ready(Err(Canceled)) | Poll::Pending => Poll::Pending,
        }
    }
}

debug_by!(Completion, [impl<R>] Completion<R>, |it| context = it.context);

impl AioContext {
    /// Runs a future on the context's thread. It may wait for anything: whatever thread wakes it, it goes on here.
    ///
    /// It belongs to the holder as a registered callback does: a release drops it, at once if it is not going on at that moment, and
    /// does not wait for what it waits for. It should not keep what keeps its own holder; [`downgrade`](Self::downgrade) gives it a
    /// view of the context that does not.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released.
    pub fn spawn_future<R: Send + 'static>(
        &self,
        future: impl Future<Output = R> + Send + 'static,
    ) -> Result<Completion<R>, ContextError> {
        let (mut promise, completion) = Promise::new(self);
        let mut future = Box::pin(future);
        let bh = self.register_bottom_half(move |dispatch| {
            let waker = dispatch.waker();
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => {
                    promise.keep(outcome);
                    dispatch.remove();
                }
                Poll::Pending => {}
            }
        })?;
        bh.schedule(Urgency::Soon);
        Ok(completion)
    }

    /// Waits for a while on one of the context's clocks; for a future on any thread.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released.
    pub fn sleep(&self, clock: Clock, delay: Duration) -> Result<Completion<()>, ContextError> {
        let (mut promise, mut completion) = Promise::new(self);
        let timer = self.timer(clock, move |_| promise.keep(()))?;
        timer.arm_after(delay);
        completion._waits_for = Some(WaitsFor::Time(timer));
        Ok(completion)
    }

    /// Waits until a file descriptor is ready for any of `interest`; what is ready is the outcome.
    ///
    /// # Errors
    ///
    /// As for [`add_fd`](Self::add_fd): only one at a time can wait for a file descriptor.
    pub fn ready(
        &self,
        source: impl AsFd + Send + Sync + 'static,
        interest: Interest,
    ) -> Result<Completion<Interest>, ContextError> {
        let (promise, mut completion) = Promise::new(self);
        let watch = self.add_fd(source, interest, Ready(promise))?;
        completion._waits_for = Some(WaitsFor::File(watch));
        Ok(completion)
    }

    /// Runs blocking work on a worker, as [`spawn_blocking`](Self::spawn_blocking) does; its result is the outcome.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run_blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Completion<R>, ContextError> {
        let (mut promise, completion) = Promise::new(self);
        self.spawn_blocking(work, move |_, result| match result {
            Ok(result) => promise.keep(result),
            Err(_) => promise.break_by_panic(),
        })?;
        Ok(completion)
    }
}

/// Tells of the first readiness.
struct Ready(Promise<Interest>);

impl Ready {
    fn tell(&mut self, interest: Interest, dispatch: &mut FdDispatch<'_>) {
        self.0.keep(interest);
        dispatch.remove();
    }
}

impl FdHandler for Ready {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.tell(Interest::READ, dispatch);
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.tell(Interest::WRITE, dispatch);
    }

    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.tell(Interest::PRIORITY, dispatch);
    }

    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.tell(Interest::PEER_CLOSED, dispatch);
    }
}
