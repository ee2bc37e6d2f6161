//! The baseline: a server that blocks in `read` and writes back what it got.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Result;

/// What makes this program the server.
pub(super) const ARGUMENT: &str = "serve-echo";

/// Serves until it is killed, each client in a thread of its own.
pub(super) fn serve(socket: &Path) -> Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            // The client is gone.
            let _ = pass(&stream, &stream);
        });
    }
    Ok(())
}

/// Moves bytes from one end to the other until there are no more.
pub(super) fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count])?;
    }
}
