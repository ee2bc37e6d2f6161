//! Connecting to a server, and why that fails.

use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::{Client, ClientError, ClientErrorKind, ConnectOptions, LifelineState};

use super::{Settings, State};
use crate::source::libvirt::VirshError;
use crate::source::monitor::{AskError, Monitor};

/// Why there are no facts.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) state: State,
    pub(super) reason: String,
    /// The server's process, where it is known although it did not answer.
    pub(super) process: Option<u32>,
}

impl Trouble {
    pub(super) fn new(state: State, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
            process: None,
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let state = match (error.kind(), error.lifeline()) {
            (ClientErrorKind::Protocol(_), _) => State::Foreign,
            (_, Some(LifelineState::Silent)) => State::Silent,
            (_, Some(LifelineState::Busy)) => State::Busy,
            _ => State::Gone,
        };
        let process = error.peer_process();
        if state == State::Busy {
            return Self {
                process,
                ..Self::new(state, "it serves another client")
            };
        }
        let text = error.to_string();
        // Its reader has the address already.
        let named = error
            .peer()
            .map(|peer| format!("cannot connect to '{peer}': "));
        let reason = named.and_then(|named| text.strip_prefix(&named).map(str::to_owned));
        Self {
            process,
            ..Self::new(state, reason.unwrap_or(text))
        }
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

/// Whether another connection would be another server's, or none: a command would be started again, and a descriptor is gone
/// when it is closed.
pub(super) fn is_one_connection(address: &Address) -> bool {
    matches!(address, Address::Exec(_) | Address::Fd(_))
}

/// How often a server is tried that hangs up before it greets, and the time between: QEMU does so with a client that comes while
/// it parts from another one.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// Connects and negotiates.
pub(super) async fn open(address: &Address, settings: &Settings) -> Result<Monitor, Trouble> {
    // Out of band nothing is asked, and in band more may be under way without it.
    let options = ConnectOptions::new(address.clone())
        .oob(false)
        .handshake_timeout(settings.deadline)
        .timeout(settings.deadline);
    let mut n_attempts = match is_one_connection(address) {
        true => 1,
        false => ATTEMPTS,
    };
    loop {
        n_attempts -= 1;
        match Client::connect(options.clone()).await {
            Err(error) if n_attempts > 0 && matches!(error.kind(), ClientErrorKind::Closed) => {
                tokio::time::sleep(PAUSE).await;
            }
            connected => return Ok(Monitor::Connected(connected?)),
        }
    }
}
