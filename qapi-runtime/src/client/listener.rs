//! What somebody who listens to events has not taken yet: the same for all fronts of the client, whether they wait with a
//! thread or with a task.

use std::collections::VecDeque;
use std::fmt;
#[cfg(any(feature = "client-blocking", test))]
use std::sync::PoisonError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::Waker;
#[cfg(any(feature = "client-async", test))]
use std::task::{Context, Poll};
#[cfg(any(feature = "client-blocking", test))]
use std::time::{Duration, Instant};

use super::EVENT_BACKLOG;
use super::error::{Awaited, ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::hub::Hub;

use crate::lock::lock;

/// A listener's events.
#[derive(Debug)]
pub(super) struct Listener {
    queue: Arc<Queue>,
    peer: Arc<str>,
}

/// Where the hub puts the events of one listener; the listener is told when it is gone.
#[derive(Debug)]
pub(super) struct Feed(Weak<Queue>);

/// Somebody who listens from the moment on at which a command is sent, up to the end of the connection on which it is.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) filter: EventFilter,
    pub(super) feed: Feed,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// For the threads that wait.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<Arc<RawEvent>>,
    n_missed: u64,
    /// No more will come.
    is_over: bool,
    /// The task that waits.
    waker: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state, and wakes up who waits for that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.lock();
            change(&mut state);
            state.waker.take()
        };
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Feed {
    pub(super) fn is_wanted(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Hands an event to the listener, who misses it if too many wait.
    pub(super) fn push(&self, event: &Arc<RawEvent>) {
        let Some(queue) = self.0.upgrade() else {
            return;
        };
        queue.change(|state| {
            if state.events.len() < EVENT_BACKLOG {
                state.events.push_back(Arc::clone(event));
            } else {
                state.n_missed += 1;
            }
        });
    }

    /// Counts events that there was no room for elsewhere.
    pub(super) fn missed(&self, count: u64) {
        if let Some(queue) = self.0.upgrade() {
            queue.lock().n_missed += count;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(queue) = self.0.upgrade() {
            queue.change(|state| state.is_over = true);
        }
    }
}

impl Listener {
    /// Listens from now on; the first one also to what came before.
    pub(super) fn of(hub: &mut Hub, filter: EventFilter, peer: &Arc<str>, is_first: bool) -> Self {
        let queue = Arc::<Queue>::default();
        let feed = Feed(Arc::downgrade(&queue));
        match is_first {
            true => hub.listen_first(filter, feed),
            false => hub.listen(filter, feed),
        }
        let peer = Arc::clone(peer);
        Self { queue, peer }
    }

    /// One that listens when a command is sent, and what goes with that command.
    pub(super) fn following(filter: EventFilter, peer: &Arc<str>) -> (Self, Following) {
        let queue = Arc::<Queue>::default();
        let feed = Feed(Arc::downgrade(&queue));
        let peer = Arc::clone(peer);
        (Self { queue, peer }, Following { filter, feed })
    }

    /// The listener of a connection that is closed.
    pub(super) fn over(peer: &Arc<str>) -> Self {
        let queue = Arc::<Queue>::default();
        queue.lock().is_over = true;
        let peer = Arc::clone(peer);
        Self { queue, peer }
    }

    /// Waits with this thread; for ever without a time-out.
    #[cfg(any(feature = "client-blocking", test))]
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<Arc<RawEvent>, ClientError> {
        let start = Instant::now();
        let mut state = self.queue.lock();
        loop {
            if let Some(event) = state.events.pop_front() {
                return Ok(event);
            }
            if state.is_over {
                return Err(self.error(ClientErrorKind::Closed));
            }
            state = match timeout {
                None => self
                    .queue
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let left = timeout.saturating_sub(start.elapsed());
                    if left.is_zero() {
                        return Err(self.error(ClientErrorKind::TimedOut(timeout)));
                    }
                    let waited = self.queue.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Has this task woken up when there is an event. One task at a time: the last one counts.
    #[cfg(any(feature = "client-async", test))]
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Result<Arc<RawEvent>, ClientError>> {
        let mut state = self.queue.lock();
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(Ok(event));
        }
        if state.is_over {
            return Poll::Ready(Err(self.error(ClientErrorKind::Closed)));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn try_next(&self) -> Option<Arc<RawEvent>> {
        self.queue.lock().events.pop_front()
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.queue.lock().is_over
    }

    pub(super) fn n_missed(&self) -> u64 {
        self.queue.lock().n_missed
    }

    /// The error of somebody who waits for an event.
    pub(super) fn error(&self, kind: ClientErrorKind) -> ClientError {
        let error = ClientError::new(kind).awaiting(Awaited::Event);
        error.of_peer(&self.peer)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("n_waiting", &state.events.len())
            .field("n_missed", &state.n_missed)
            .field("is_over", &state.is_over)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::json::Document;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn event() -> Arc<RawEvent> {
        let message = Document::parse(b"{'event': 'STOP'}").unwrap();
        Arc::new(RawEvent::new(message).unwrap())
    }

    fn listener() -> (Listener, Feed) {
        let queue = Arc::<Queue>::default();
        let feed = Feed(Arc::downgrade(&queue));
        let peer = "test".into();
        (Listener { queue, peer }, feed)
    }

    #[test]
    fn a_task_that_waits_is_woken_by_an_event_and_by_the_end() {
        let (listener, feed) = listener();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert!(listener.poll(&context).is_pending());
        feed.push(&event());
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(matches!(listener.poll(&context), Poll::Ready(Ok(_))));
        assert!(listener.poll(&context).is_pending());
        drop(feed);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        let Poll::Ready(Err(error)) = listener.poll(&context) else {
            panic!("the connection is closed");
        };
        assert!(matches!(error.kind(), ClientErrorKind::Closed));
    }

    #[test]
    fn what_came_before_the_end_is_still_there_after_it() {
        let (listener, feed) = listener();
        for _ in 0..EVENT_BACKLOG + 3 {
            feed.push(&event());
        }
        feed.missed(2);
        drop(feed);
        assert_eq!(listener.n_missed(), 5);
        for _ in 0..EVENT_BACKLOG {
            assert!(listener.wait(Some(Duration::ZERO)).is_ok());
        }
        let error = listener.wait(None).unwrap_err();
        assert!(matches!(error.kind(), ClientErrorKind::Closed));
    }

    #[test]
    fn a_thread_that_waits_is_woken_by_an_event() {
        let (listener, feed) = listener();
        let waiting =
            std::thread::spawn(move || listener.wait(None).map(|it| it.name().to_owned()));
        feed.push(&event());
        assert_eq!(waiting.join().unwrap().unwrap(), "STOP");
    }

    #[test]
    fn nobody_is_waited_for_longer_than_wanted() {
        let (listener, feed) = listener();
        let error = listener.wait(Some(Duration::ZERO)).unwrap_err();
        assert!(matches!(error.kind(), ClientErrorKind::TimedOut(_)));
        assert!(feed.is_wanted());
        drop(listener);
        assert!(!feed.is_wanted());
    }
}
