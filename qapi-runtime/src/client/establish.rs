//! What the fronts of the client say of connections that are not made.

use std::io;

use super::error::{Awaited, ClientError, ClientErrorKind};
use super::hub::Hub;
use super::open::RunningCommand;
use super::options::{ConnectOptions, Peer};
use crate::address::Address;

/// Why nobody may accept or greet.
const ONE_CLIENT: &str =
    "a monitor of QEMU serves one client at a time, and another one may be connected";

/// Whether the peer may be a monitor of QEMU.
fn may_be_busy(options: &ConnectOptions) -> bool {
    match &options.peer {
        Peer::At(
            Address::Unix(_) | Address::Abstract(_) | Address::Tcp(_) | Address::Vsock { .. },
        ) => true,
        Peer::At(Address::Fd(_) | Address::Exec(_)) | Peer::Stream(_) => false,
    }
}

/// The error of an address that could not be opened.
pub(super) fn not_opened(error: io::Error, options: &ConnectOptions) -> ClientError {
    let (kind, note) = match error.kind() {
        // The queue of those who wait to be accepted is full.
        io::ErrorKind::WouldBlock => {
            let after = options.wait.max(options.handshake);
            (
                ClientErrorKind::TimedOut(after),
                Some(ONE_CLIENT.to_owned()),
            )
        }
        io::ErrorKind::TimedOut => (ClientErrorKind::TimedOut(options.handshake), None),
        _ => (ClientErrorKind::Io(error), None),
    };
    ClientError::new(kind)
        .awaiting(Awaited::Accepting)
        .with_note(note)
        .of_peer(&options.peer())
}

/// Adds to an error of the handshake where it happened, and what came instead.
pub(super) fn not_established(
    error: ClientError,
    hub: &mut Hub,
    options: &ConnectOptions,
    command: Option<&RunningCommand>,
) -> ClientError {
    let awaited = hub.core().awaited();
    let is_late = matches!(error.kind(), ClientErrorKind::TimedOut(_));
    let is_closed = matches!(error.kind(), ClientErrorKind::Closed);
    let mut notes = Vec::new();
    if is_late || is_closed {
        notes.extend(hub.core().said().map(|said| format!("it says {said}")));
    }
    if is_late && awaited == Awaited::Greeting && notes.is_empty() && may_be_busy(options) {
        notes.push(ONE_CLIENT.to_owned());
    }
    if is_closed {
        notes.extend(command.and_then(RunningCommand::end));
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    error
        .awaiting(awaited)
        .with_note(note)
        .of_peer(&options.peer())
}

/// The error of a connection that broke before it was ready.
pub(super) fn handshake_io(error: io::Error, options: &ConnectOptions) -> ClientError {
    ClientError::new(match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            ClientErrorKind::TimedOut(options.handshake)
        }
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected => ClientErrorKind::Closed,
        _ => ClientErrorKind::Io(error),
    })
}
