//! What is told to `tracing`, for programs that have asked for it by the feature.

#[cfg(feature = "tracing")]
mod told {
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

#[cfg(not(feature = "tracing"))]
mod told {
    use crate::client::ClientError;

    pub(crate) fn ready(_: &str) {}
    pub(crate) fn lost(_: &str) {}
    pub(crate) fn not_connected(_: &str, _: &ClientError) {}
    pub(crate) fn asked(_: &str, _: u64, _: &str) {}
    pub(crate) fn replied(_: &str, _: u64) {}
}

pub(super) use self::told::{asked, lost, not_connected, ready, replied};
