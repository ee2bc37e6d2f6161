//! Futures on a loop: a bottom half that goes on with one each time it is woken.

use std::fmt;
use std::future::Future;
use std::mem;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use thiserror::Error;

use super::aio_context::AioContext;
use super::clock::Clock;
use super::failure::ContextError;
use super::fd::{FdDispatch, FdWatch};
use super::handler::FdHandler;
use super::interest::Interest;
use super::schedule::Urgency;
use super::timer::Timer;
use crate::sync::{Arc, Mutex};

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
#[must_use = "nobody hears of the outcome"]
pub struct Completion<R> {
    slot: Arc<Slot<R>>,
    /// What is only there as long as somebody waits.
    _waits_for: Option<WaitsFor>,
}

#[expect(dead_code, reason = "they are kept, and removed when they are dropped")]
enum WaitsFor {
    Time(Timer),
    File(FdWatch),
}

/// Where the outcome comes to.
struct Slot<R> {
    context: String,
    state: Mutex<State<R>>,
}

enum State<R> {
    Ahead(Option<Waker>),
    Over(Result<R, TaskError>),
    Taken,
}

/// Whoever has it is to say what the outcome is; if it is dropped there is none.
struct Promise<R> {
    slot: Arc<Slot<R>>,
    view: AioContext,
}

impl<R> Promise<R> {
    fn new(context: &AioContext) -> (Self, Arc<Slot<R>>) {
        let slot = Arc::new(Slot {
            context: context.name().to_owned(),
            state: Mutex::new(State::Ahead(None)),
        });
        let promise = Self {
            slot: Arc::clone(&slot),
            view: context.share(),
        };
        (promise, slot)
    }

    fn keep(&self, outcome: R) {
        self.slot.finish(Ok(outcome));
    }

    fn break_by_panic(&self) {
        let context = self.slot.context.clone();
        self.slot.finish(Err(TaskError::Panicked { context }));
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        if self.view.is_released() {
            let context = self.slot.context.clone();
            self.slot.finish(Err(TaskError::GivenUp { context }));
        } else {
            self.break_by_panic();
        }
    }
}

impl<R> Slot<R> {
    /// Does nothing after the first time.
    fn finish(&self, outcome: Result<R, TaskError>) {
        let mut state = self.state.lock();
        match mem::replace(&mut *state, State::Taken) {
            State::Ahead(waker) => {
                *state = State::Over(outcome);
                drop(state);
                // Foreign code, so not under the lock.
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            over @ (State::Over(_) | State::Taken) => {
                *state = over;
                drop(state);
                drop(outcome);
            }
        }
    }
}

impl<R> Completion<R> {
    fn of(slot: Arc<Slot<R>>) -> Self {
        Self {
            slot,
            _waits_for: None,
        }
    }
}

impl<R> Future for Completion<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Foreign code, so not under the lock.
        let waker = context.waker().clone();
        let mut state = self.slot.state.lock();
        let (next, polled, replaced) = match mem::replace(&mut *state, State::Taken) {
            State::Ahead(former) => (State::Ahead(Some(waker)), Poll::Pending, former),
            State::Over(outcome) => (State::Taken, Poll::Ready(outcome), Some(waker)),
            State::Taken => (State::Taken, Poll::Pending, Some(waker)),
        };
        *state = next;
        drop(state);
        drop(replaced);
        polled
    }
}

impl<R> fmt::Debug for Completion<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("context", &self.slot.context)
            .finish_non_exhaustive()
    }
}

impl AioContext {
    /// Runs a future on the context's thread. It may wait for anything: whoever wakes it, on whatever thread, has it go on here.
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
        let (promise, slot) = Promise::new(self);
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
        Ok(Completion::of(slot))
    }

    /// Waits for a while on one of the context's clocks; for a future on any thread.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released.
    pub fn sleep(&self, clock: Clock, delay: Duration) -> Result<Completion<()>, ContextError> {
        let (promise, slot) = Promise::new(self);
        let timer = self.timer(clock, move |_| promise.keep(()))?;
        timer.arm_after(delay);
        Ok(Completion {
            slot,
            _waits_for: Some(WaitsFor::Time(timer)),
        })
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
        let (promise, slot) = Promise::new(self);
        let watch = self.add_fd(source, interest, Ready(promise))?;
        Ok(Completion {
            slot,
            _waits_for: Some(WaitsFor::File(watch)),
        })
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
        let (promise, slot) = Promise::new(self);
        self.spawn_blocking(work, move |_, result| match result {
            Ok(result) => promise.keep(result),
            Err(_) => promise.break_by_panic(),
        })?;
        Ok(Completion::of(slot))
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
