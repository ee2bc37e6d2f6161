//! Clients that are served by a real session.

use std::io::{self, Read, Write};
use std::task::{Context, Poll};

use super::MockState;
use crate::dispatch::{BoxFuture, Reply, Service};
use crate::error::Error;
use crate::parking::waker;
use crate::session::{Session, SessionConfig, Started};
use crate::system::MockStream;

/// Serves a client with a real session.
pub(super) fn serve_service(
    mut stream: MockStream,
    config: &SessionConfig,
    service: &dyn Service,
    state: &MockState,
) -> io::Result<()> {
    let mut session = Session::new(config.clone());
    let mut buffer = vec![0; 4096];
    let mut pending = 0..0;
    loop {
        let mut input = &buffer[pending.clone()];
        while let Some(call) = session.advance(&mut input, service, |_| true) {
            let id = call.id();
            let result: Result<Reply, Error> = match call.start(service) {
                Started::Done(result) => result,
                Started::Pending(future) => block_on(future, state),
            };
            session.complete(id, result);
        }
        pending.start = pending.end - input.len();
        let count = session.output().len();
        if count > 0 {
            // What waits for that much output goes on in the next turn.
            stream.write_all(session.output())?;
            session.consume_output(count);
        } else if session.is_finished() {
            return Ok(());
        } else {
            match stream.read(&mut buffer)? {
                0 => session.end_of_input(),
                count => pending = 0..count,
            }
        }
    }
}

/// Runs a future to its end, or to that of the mock, on this thread.
fn block_on(mut future: BoxFuture, state: &MockState) -> Result<Reply, Error> {
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            // The future may wait for the thread that stops the mock.
            Poll::Pending if state.is_stopped() => {
                return Err(Error::generic("the mock is stopped"));
            }
            Poll::Pending => std::thread::park(),
        }
    }
}
