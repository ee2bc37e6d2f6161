//! What the fronts of the client say of connections that are not made.

use std::io;

use super::error::{Awaited, ClientError, ClientErrorKind};
use super::hub::Hub;
use super::open::RunningCommand;
use super::options::ConnectOptions;
use super::peer::Peer;
use super::silence::Silence;
use crate::address::Address;
use crate::descriptor::PeerCredentials;

/// Why a server may not accept or greet.
const ONE_CLIENT: &str =
    "a monitor of QEMU serves one client at a time, and another one may be connected";

/// Whether the peer may be a monitor of QEMU.
fn may_be_busy(options: &ConnectOptions) -> bool {
    match &options.peer {
        Peer::At(
            Address::Unix(_)
            | Address::Abstract(_)
            | Address::Tcp(_)
            | Address::Vsock { .. }
            | Address::Pipe(_),
        ) => true,
        Peer::At(Address::Fd(_) | Address::Exec(_)) | Peer::Stream(_) => false,
    }
}

/// What the kernel tells of a server that is silent for a reason.
fn known(silence: Silence) -> Option<&'static str> {
    match silence {
        Silence::Stopped => Some("its process is stopped"),
        Silence::ServesAnother => {
            Some("a monitor of QEMU serves one client at a time, and it serves another one")
        }
        Silence::Unknown => None,
    }
}

/// The error of an address that could not be opened.
pub(super) fn not_opened(error: io::Error, options: &ConnectOptions) -> ClientError {
    let mut silence = Silence::Unknown;
    let (kind, note) = match error.kind() {
        // The queue of those who wait to be accepted is full, or the pipe has its client.
        io::ErrorKind::WouldBlock => {
            silence = Silence::of_full(&options.peer);
            let after = options.wait.max(options.handshake);
            let note = known(silence).unwrap_or(ONE_CLIENT);
            (ClientErrorKind::TimedOut(after), Some(note.to_owned()))
        }
        io::ErrorKind::TimedOut => (ClientErrorKind::TimedOut(options.handshake), None),
        _ => (ClientErrorKind::Io(error), None),
    };
    ClientError::new(kind)
        .awaiting(Awaited::Accepting)
        .with_silence(silence)
        .with_note(note)
        .of_peer(&options.peer())
}

/// Adds to an error of the handshake what the kernel tells of a server that says nothing, while the connection is open.
pub(super) fn with_silence(
    error: ClientError,
    options: &ConnectOptions,
    credentials: Option<PeerCredentials>,
) -> ClientError {
    match error.kind() {
        ClientErrorKind::TimedOut(_) => error
            .with_silence(Silence::of(&options.peer, credentials))
            .of_process(credentials.and_then(|it| it.process)),
        _ => error,
    }
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
    let known = known(error.silence());
    let says_nothing = is_late && awaited == Awaited::Greeting && notes.is_empty();
    let guessed = (says_nothing && may_be_busy(options)).then_some(ONE_CLIENT);
    notes.extend(known.or(guessed).map(str::to_owned));
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
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => ClientErrorKind::Closed,
        _ => ClientErrorKind::Io(error),
    })
}
