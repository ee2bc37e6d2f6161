//! What most tests begin with.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};

use iothread::{HeldAioContext, IoThread, PanicReport, Registry, holder};

/// A thread in a registry of its own. No callback on it may panic.
pub(crate) fn thread(id: &str) -> IoThread {
    IoThread::builder(id)
        .registry(&Registry::new())
        .on_panic(unannounced)
        .spawn()
        .expect("the host has room for a thread")
}

/// Ends all tests for a panic that none of them has announced: the one that it belongs to may be over and counted as passed.
pub(crate) fn unannounced(report: &PanicReport) {
    // Not `eprintln`, whose text the harness keeps for the end of the test.
    writeln!(std::io::stderr(), "unannounced: {report}").expect("a standard error");
    std::process::exit(101);
}

/// As [`thread`], for a test in which a callback panics.
pub(crate) fn thread_with_panics(id: &str) -> IoThread {
    IoThread::builder(id)
        .registry(&Registry::new())
        .on_panic(|_| {})
        .spawn()
        .expect("the host has room for a thread")
}

/// Its context, held by a device.
pub(crate) fn held(thread: &IoThread) -> HeldAioContext {
    thread
        .get_aio_context(holder::qom_object("/machine/d"))
        .expect("a thread that exists")
}

/// Two ends of a socket; the first one does not block.
pub(crate) fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("the host has room for a socket");
    a.set_nonblocking(true).expect("a socket that is open");
    (a, b)
}

/// Keeps the context's thread busy until the sender is used.
pub(crate) fn block(context: &HeldAioContext) -> Sender<()> {
    let (go, wait) = channel();
    let (begun, begins) = channel();
    context
        .post(move |_| {
            begun.send(()).expect("the test waits");
            wait.recv().expect("the test goes on");
        })
        .expect("a context that is held");
    begins.recv().expect("the closure runs");
    go
}

pub(crate) fn read_byte(mut stream: &UnixStream) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("a byte that has come");
    byte[0]
}
