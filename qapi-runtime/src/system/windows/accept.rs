//! Listeners of servers.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::sync::Mutex;

use super::local::{Local, Pipes};
use super::{Descriptor, path_of_pipe};

/// A named pipe at which a server listens.
pub(crate) struct LocalListener {
    path: OsString,
    /// The instance for the next client. There always is one, so that the name is taken and no client finds it missing.
    next: Mutex<NamedPipeServer>,
}

impl LocalListener {
    pub(crate) fn new(socket: Descriptor) -> io::Result<Self> {
        match socket {}
    }

    /// Listens at a named pipe, for programs of this machine.
    pub(crate) fn at_pipe(name: &Path) -> io::Result<Self> {
        let path = path_of_pipe(name)?;
        let first = ServerOptions::new().first_pipe_instance(true).create(&path);
        let next = first.map_err(|error| {
            let pipe = path.display();
            match error.kind() {
                // Somebody else has the name.
                io::ErrorKind::PermissionDenied => io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("pipe '{pipe}' is in use by a running server"),
                ),
                kind => io::Error::new(kind, format!("cannot listen on '{pipe}': {error}")),
            }
        })?;
        Ok(Self {
            path,
            next: Mutex::new(next),
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<Local> {
        let mut next = self.next.lock().await;
        while next.connect().await.is_err() {
            // A client has come and left.
            next.disconnect()?;
        }
        let following = ServerOptions::new().create(&self.path)?;
        let connected = std::mem::replace(&mut *next, following);
        Ok(Pipes::Server(connected).into())
    }
}

/// Has a peer that vanishes without a word noticed in the end.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_keepalive(true)
}

/// Whether both directions are over: TCP has given the connection up.
pub(crate) fn is_gone(stream: &TcpStream) -> bool {
    let ready = pin!(stream.ready(Interest::READABLE | Interest::WRITABLE));
    // What is not known yet is asked again later.
    match ready.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_write_closed(),
        Poll::Ready(Err(_)) | Poll::Pending => false,
    }
}
