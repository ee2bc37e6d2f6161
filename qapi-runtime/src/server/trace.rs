//! What is told to `tracing`, for programs that have asked for it by the feature.

/// Whether anything is told.
pub(super) const IS_ON: bool = cfg!(feature = "tracing");

#[cfg(feature = "tracing")]
mod told {
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

#[cfg(not(feature = "tracing"))]
mod told {
    use std::time::Duration;

    use crate::error::Error;
    use crate::server::{Connection, Notice};

    pub(crate) fn connected(_: &Connection) {}
    pub(crate) fn disconnected(_: &Connection) {}
    pub(crate) fn answered(_: u64, _: &str, _: Duration, _: Result<(), &Error>) {}
    pub(crate) fn noticed(_: &Notice) {}
}

pub(super) use self::told::{answered, connected, disconnected, noticed};
