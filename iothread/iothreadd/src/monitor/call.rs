//! Commands that do not run where their session runs.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use iothread::{ContextError, MainContext};
use qapi_runtime::Error;
use qapi_runtime::dispatch::{BoxFuture, CommandInfo, Reply, Service};
use qapi_runtime::session::{Call, Started};

use crate::sync::Mutex;

/// Whether a command only reads memory, under locks that are held for moments.
pub(super) fn runs_inline(info: &CommandInfo) -> bool {
    match info.name {
        // These ask the file system.
        "query-block" | "query-named-block-nodes" => false,
        // Descriptors belong to the session.
        "getfd" | "closefd" | "add-fd" | "remove-fd" => true,
        "qom-get" | "qom-list" | "qom-list-properties" | "yank" => true,
        name => name.starts_with("query-") || name.starts_with("x-query-"),
    }
}

type Done = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// Runs a call on the main loop, and then `done` there.
///
/// # Errors
///
/// The main loop is gone; nothing was run.
pub(super) fn run_on_main_loop(
    main: &MainContext,
    service: Arc<dyn Service>,
    call: Call,
    done: Done,
) -> Result<(), ContextError> {
    let context = main.clone();
    main.post(move |_| match call.start(&*service) {
        Started::Done(result) => done(result),
        Started::Pending(future) => {
            let task = Arc::new(Task {
                main: context,
                pending: Mutex::new(Some((future, done))),
            });
            task.poll();
        }
    })
}

/// A command that goes on after its handler has returned.
struct Task {
    main: MainContext,
    /// Taken while it is polled, and for good once it is over.
    pending: Mutex<Option<(BoxFuture, Done)>>,
}

impl Task {
    fn poll(self: &Arc<Self>) {
        let mut pending = self.pending.lock();
        let Some((mut future, done)) = pending.take() else {
            return;
        };
        let waker = Waker::from(Arc::clone(self));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => done(result),
            Poll::Pending => *pending = Some((future, done)),
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let main = self.main.clone();
        // The main loop is gone only when all sessions are.
        let _ = main.post(move |_| self.poll());
    }
}
