//! The baseline: a server that blocks in `read` and writes back what it got.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
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
            let _ = echo(stream);
        });
    }
    Ok(())
}

fn echo(mut stream: UnixStream) -> std::io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
    }
}
