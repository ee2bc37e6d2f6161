//! Commands that do not run where their session runs.

use std::sync::Arc;

use iothread::{ContextError, MainContext};
use qapi_runtime::Error;
use qapi_runtime::dispatch::{CommandInfo, Reply, Service};
use qapi_runtime::session::{Call, Started};

use crate::task;

/// The commands as one session has them.
pub(crate) struct SessionCommands {
    pub(crate) service: Arc<dyn Service>,
    /// Whether a command runs where its session does. All others run on the main loop.
    pub(crate) runs_inline: fn(&CommandInfo) -> bool,
}

type Done = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// Runs a call on the main loop, and then `done` there. What the call emits is on its way to all sessions by then, on the same
/// way as its reply, so that it precedes it.
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
            if let Some((result, done)) = task::start(&context, future, done) {
                done(result);
            }
        }
    })
}
