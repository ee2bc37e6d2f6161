//! Connecting to a server, and why that fails.

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
        let state = match (error.kind(), error.lifeline()) {
            (ClientErrorKind::Protocol(_), _) => State::Foreign,
            (_, Some(LifelineState::Silent)) => State::Silent,
            (_, Some(LifelineState::Busy)) => State::Busy,
            _ => State::Gone,
        };
        if state == State::Busy {
            return Self::new(state, "it serves another client");
        }
        let text = error.to_string();
        // Its reader has the address already.
        let named = error
            .peer()
            .map(|peer| format!("cannot connect to '{peer}': "));
        let reason = named.and_then(|named| text.strip_prefix(&named).map(str::to_owned));
        Self::new(state, reason.unwrap_or(text))
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
    let options = ConnectOptions::new(address.clone())
        .oob(false)
        .handshake_timeout(settings.deadline)
        .timeout(settings.deadline);
    Ok(Monitor::Connected(Client::connect(options).await?))
}
