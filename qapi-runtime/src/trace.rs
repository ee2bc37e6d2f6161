//! What is told to `tracing`, for programs that have asked for it by the feature.

/// Whether anything is told.
#[cfg(feature = "server")]
pub(crate) const IS_ON: bool = cfg!(feature = "tracing");

#[cfg(all(feature = "server", feature = "tracing"))]
mod server {
    use std::time::Duration;

    use crate::error::Error;
    use crate::server::{Connection, Notice};

    /// A client is served.
    pub(crate) fn connected(connection: &Connection) {
        let credentials = connection.peer_credentials();
        tracing::debug!(
            connection = connection.number(),
            address = connection.peer_address().map(tracing::field::display),
            process = credentials.and_then(|it| it.process),
            user = credentials.map(|it| it.user),
            "client connected"
        );
    }

    /// A client that was served is gone.
    pub(crate) fn disconnected(connection: &Connection) {
        tracing::debug!(connection = connection.number(), "client disconnected");
    }

    /// A command has its answer.
    pub(crate) fn answered(
        connection: u64,
        command: &str,
        took: Duration,
        result: Result<(), &Error>,
    ) {
        match result {
            Ok(()) => tracing::debug!(connection, command, ?took, "command returned"),
            Err(error) => tracing::debug!(
                connection,
                command,
                ?took,
                class = error.class.as_str(),
                %error,
                "command failed"
            ),
        }
    }

    /// Something that no client is told.
    pub(crate) fn noticed(notice: &Notice) {
        tracing::warn!("{notice}");
    }
}

#[cfg(all(feature = "server", not(feature = "tracing")))]
mod server {
    use std::time::Duration;

    use crate::error::Error;
    use crate::server::{Connection, Notice};

    pub(crate) fn connected(_: &Connection) {}
    pub(crate) fn disconnected(_: &Connection) {}
    pub(crate) fn answered(_: u64, _: &str, _: Duration, _: Result<(), &Error>) {}
    pub(crate) fn noticed(_: &Notice) {}
}

#[cfg(feature = "server")]
pub(crate) use self::server::{answered, connected, disconnected, noticed};

#[cfg(all(
    any(feature = "client-async", feature = "client-blocking"),
    feature = "tracing"
))]
mod client {
    use crate::client::ClientError;

    /// Commands may be sent.
    pub(crate) fn ready(peer: &str) {
        tracing::debug!(peer, "ready for commands");
    }

    /// A connection is lost.
    pub(crate) fn lost(peer: &str) {
        tracing::debug!(peer, "connection lost");
    }

    /// A connection is not made again; there may be another attempt.
    pub(crate) fn not_connected(peer: &str, error: &ClientError) {
        tracing::debug!(peer, %error, "not connected");
    }

    /// A command is sent.
    pub(crate) fn asked(peer: &str, id: u64, command: &str) {
        tracing::trace!(peer, id, command, "command sent");
    }

    /// A command is answered.
    pub(crate) fn replied(peer: &str, id: u64) {
        tracing::trace!(peer, id, "command answered");
    }
}

#[cfg(all(
    any(feature = "client-async", feature = "client-blocking"),
    not(feature = "tracing")
))]
mod client {
    use crate::client::ClientError;

    pub(crate) fn ready(_: &str) {}
    pub(crate) fn lost(_: &str) {}
    pub(crate) fn not_connected(_: &str, _: &ClientError) {}
    pub(crate) fn asked(_: &str, _: u64, _: &str) {}
    pub(crate) fn replied(_: &str, _: u64) {}
}

#[cfg(any(feature = "client-async", feature = "client-blocking"))]
pub(crate) use self::client::{asked, lost, not_connected, ready, replied};
