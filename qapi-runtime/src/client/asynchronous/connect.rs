//! Connections that are made, and brought to where commands may be sent.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::error::{ClientError, ClientErrorKind};
use super::super::establish::{handshake_io, not_established, not_opened, with_silence};
use super::super::hub::Hub;
use super::super::open::{self, Opened, Opening, RunningCommand};
use super::super::options::ConnectOptions;
use super::super::thread::not_started;
use super::super::{CONNECT_PAUSE, READ_SIZE};
use crate::descriptor::PeerCredentials;
use crate::system::connect_vsock;
use crate::transport::{Reader, Transport, Writer};

/// The two directions of a connection that is ready for commands.
pub(super) type Connection = (Reader, Writer);

/// A connection on which nothing was said yet.
pub(super) struct Wire {
    transport: Transport,
    pub(super) credentials: Option<PeerCredentials>,
    command: Option<RunningCommand>,
    /// The part of the handshake's time that it has waited for room in the queue of those who are to be accepted.
    waited: Duration,
}

impl Wire {
    pub(super) fn of(transport: Transport) -> Self {
        Self {
            transport,
            credentials: None,
            command: None,
            waited: Duration::ZERO,
        }
    }

    pub(super) fn of_opened(opened: Opened) -> io::Result<Self> {
        Ok(Self {
            credentials: opened.handle.credentials(),
            transport: opened.handle.try_into()?,
            command: opened.command,
            waited: Duration::ZERO,
        })
    }
}

async fn open_now(options: &ConnectOptions) -> io::Result<Wire> {
    match open::begin(&options.peer) {
        Opening::Done(opened) => Wire::of_opened(opened?),
        Opening::Tcp(address) => {
            let connecting = TcpStream::connect(address);
            let stream = tokio::time::timeout(options.handshake, connecting).await??;
            stream.set_nodelay(true)?;
            Ok(Wire::of(Transport::Tcp(stream)))
        }
        Opening::Vsock { cid, port } => {
            let patience = options.handshake;
            let (sender, connected) = oneshot::channel();
            // `spawn_blocking` panics where the host has no thread for it.
            let thread = std::thread::Builder::new().name("qmp-connect".to_owned());
            thread
                .spawn(move || {
                    // Nobody may wait for it any more.
                    let _ = sender.send(connect_vsock(cid, port, patience));
                })
                .map_err(not_started)?;
            Wire::of_opened(connected.await.map_err(io::Error::other)??.into())
        }
        Opening::Stream(name) => Err(open::no_stream(name)),
    }
}

/// Tries until the server is there, or has room for one more.
pub(super) async fn open(options: &ConnectOptions, wait: Duration) -> Result<Wire, ClientError> {
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    loop {
        let error = match open_now(options).await {
            Ok(wire) => return Ok(Wire { waited, ..wire }),
            Err(error) => error,
        };
        let patience = match error.kind() {
            // The queue of those who wait to be accepted is full.
            io::ErrorKind::WouldBlock => wait.max(options.handshake),
            _ => wait,
        };
        if start.elapsed() >= patience {
            return Err(not_opened(error, options));
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
        if error.kind() == io::ErrorKind::WouldBlock {
            waited = start.elapsed().saturating_sub(wait);
        }
    }
}

/// Brings the protocol to the point where commands may be sent.
pub(super) async fn establish(
    wire: Wire,
    options: &ConnectOptions,
    hub: &mut Hub,
) -> Result<Connection, ClientError> {
    let (command, credentials) = (wire.command, wire.credentials);
    let left = options.handshake.saturating_sub(wire.waited);
    let (mut reader, mut writer) = wire.transport.split();
    let handshake = shake_hands(&mut reader, &mut writer, options, hub);
    let done = match tokio::time::timeout(left, handshake).await {
        Ok(done) => done,
        Err(_) => Err(ClientError::new(ClientErrorKind::TimedOut(
            options.handshake,
        ))),
    };
    match done {
        Ok(()) => Ok((reader, writer)),
        Err(error) => {
            let error = with_silence(error, options, credentials);
            drop((reader, writer));
            Err(not_established(error, hub, options, command.as_ref()))
        }
    }
}

async fn shake_hands(
    reader: &mut Reader,
    writer: &mut Writer,
    options: &ConnectOptions,
    hub: &mut Hub,
) -> Result<(), ClientError> {
    let failed = |error| handshake_io(error, options);
    let mut buffer = vec![0; READ_SIZE];
    // When what was said is said again.
    let mut repeat = None;
    loop {
        let output = hub.core().take_output();
        let mut rest = &output[..];
        while !rest.is_empty() || writer.needs_flush() {
            let count = writer.write(rest, &[]).await.map_err(failed)?;
            rest = &rest[count..];
        }
        if !output.is_empty() {
            repeat = hub.core().sync_pause().map(|pause| Instant::now() + pause);
        }
        if hub.core().is_ready() {
            return Ok(());
        }
        tokio::select! {
            biased;
            read = reader.read(&mut buffer, None) => match read.map_err(failed)? {
                0 => return Err(ClientError::new(ClientErrorKind::Closed)),
                count => hub.receive(&buffer[..count])?,
            },
            () = sleep_until(repeat), if repeat.is_some() => {
                hub.core().repeat_sync();
                repeat = hub.core().sync_pause().map(|pause| Instant::now() + pause);
            }
        }
    }
}

/// Waits until then, if there is such a moment.
pub(super) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
