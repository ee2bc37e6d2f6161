//! Connecting to a server, and why that fails.

use std::io;
use std::path::Path;
use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::{Client, ClientError, ClientErrorKind, ConnectOptions};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Settings, State};
use crate::source::libvirt::VirshError;
use crate::source::monitor::{AskError, Monitor};
use crate::source::socket::{self, Silence};

/// Why there are no facts.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) state: State,
    pub(super) reason: String,
}

impl Trouble {
    pub(super) fn new(state: State, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let state = match error.kind() {
            ClientErrorKind::TimedOut(_) => State::Silent,
            ClientErrorKind::Protocol(_) => State::Foreign,
            _ => State::Gone,
        };
        Self::new(state, error.to_string())
    }
}

impl From<VirshError> for Trouble {
    fn from(error: VirshError) -> Self {
        let state = match &error {
            VirshError::TimedOut(_) => State::Silent,
            VirshError::Io(_) | VirshError::Refused(_) => State::Gone,
        };
        Self::new(state, error.to_string())
    }
}

impl From<AskError> for Trouble {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Client(error) => error.into(),
            AskError::Virsh(error) => error.into(),
        }
    }
}

/// Why nobody answers whose process is stopped.
pub(super) const STOPPED: &str = "its process is stopped";

/// Connects and negotiates.
pub(super) async fn open(address: &Address, settings: &Settings) -> Result<Monitor, Trouble> {
    // Out of band nothing is asked, and in band more may be under way without it.
    let with = |options: ConnectOptions| {
        options
            .oob(false)
            .handshake_timeout(settings.deadline)
            .timeout(settings.deadline)
    };
    let client = match address {
        Address::Unix(path) => {
            let stream = greeting(path, settings.deadline).await?;
            let options = with(ConnectOptions::for_stream(&address.to_string()));
            Client::connect_descriptor(options, stream.into()).await?
        }
        _ => Client::connect(with(ConnectOptions::new(address.clone()))).await?,
    };
    Ok(Monitor::Connected(client))
}

/// How long it takes until there may be room for one more.
const PAUSE: Duration = Duration::from_millis(20);

/// Connects to a socket and waits until something is said there. Whoever is not greeted asks the kernel why, as long as the
/// connection waits.
async fn greeting(
    path: &Path,
    patience: Duration,
) -> Result<std::os::unix::net::UnixStream, Trouble> {
    let mut connected = None;
    let greeted = async {
        let stream = loop {
            match UnixStream::connect(path).await {
                Ok(stream) => break stream,
                // The queue of those who wait to be accepted is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        connected.insert(stream).readable().await
    };
    match timeout(patience, greeted).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Trouble::new(State::Gone, error.to_string())),
        Err(_) => return Err(silence(path, connected.as_ref(), patience)),
    }
    let stream = connected.expect("what is readable is connected");
    let stream = stream.into_std();
    stream.map_err(|error| Trouble::new(State::Gone, error.to_string()))
}

fn silence(path: &Path, stream: Option<&UnixStream>, patience: Duration) -> Trouble {
    let process = stream.and_then(|it| it.peer_cred().ok()?.pid());
    let process = process.and_then(|it| u32::try_from(it).ok());
    match socket::silence(path, process) {
        Silence::Stopped => Trouble::new(State::Silent, STOPPED),
        Silence::ServesAnother => Trouble::new(State::Busy, "it serves another client"),
        Silence::Unknown => Trouble::new(State::Silent, format!("no greeting in {patience:?}")),
    }
}
