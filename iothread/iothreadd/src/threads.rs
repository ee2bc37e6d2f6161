//! Event loops of the server, and what becomes of it if one of them fails.

use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{IoThread, IoThreadBuilder};

use crate::server::Server;

/// How long the server may take to end after a loop has failed: what was under way on it may never be over.
const END: Duration = Duration::from_secs(10);

/// Describes an IOThread to be made. The server ends if its loop fails.
pub(crate) fn builder(server: &Arc<Server>, id: &str) -> IoThreadBuilder {
    let server: Weak<Server> = Arc::downgrade(server);
    IoThread::builder(id).on_failure(move |failure| match server.upgrade() {
        Some(server) => server.fail(failure),
        // It has ended.
        None => crate::report::report(&failure.to_string()),
    })
}

/// Ends the process in a while, whatever keeps it.
pub(crate) fn end_in_any_case() {
    let end = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(END);
        crate::report::report("the end takes too long");
        std::process::exit(1);
    });
    if let Err(error) = end {
        // Without a thread nobody could see to it.
        crate::report::report(&format!("cannot start a thread: {error}"));
        std::process::exit(1);
    }
}
