//! Handlers that panic answer with an error.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{BoxFuture, Outcome, Reply, Service};
use crate::error::Error;
use crate::visit::{Input, Output};

/// Calls a command; a panic of its handler becomes an error.
///
/// # Errors
///
/// As [`Service::call`].
pub(crate) fn call_guarded(
    service: &dyn Service,
    index: usize,
    input: &mut Input<'_>,
    output: &mut Output,
) -> Result<Outcome, Error> {
    // What a panic leaves behind half done is the handler's own state; the output is void.
    let call = AssertUnwindSafe(|| service.call(index, input, output));
    match std::panic::catch_unwind(call) {
        Ok(outcome) => outcome,
        Err(_) => {
            let command = service.commands().get(index);
            Err(panicked(command.map_or("unknown", |info| info.name)))
        }
    }
}

/// A future whose panics become errors.
pub(crate) fn guard_future(command: &'static str, future: BoxFuture) -> BoxFuture {
    Box::pin(Guarded { command, future })
}

struct Guarded {
    command: &'static str,
    future: BoxFuture,
}

impl Future for Guarded {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.future;
        let poll = AssertUnwindSafe(|| future.as_mut().poll(context));
        match std::panic::catch_unwind(poll) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Err(panicked(self.command))),
        }
    }
}

fn panicked(command: &str) -> Error {
    Error::generic(format!(
        "internal error while executing command '{command}'"
    ))
}
