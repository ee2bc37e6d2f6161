//! File descriptors that travel beside the bytes of a unix socket (SCM_RIGHTS), those that a
//! program was started with, and who is at the other end.

use std::time::Duration;

mod received;

pub use self::received::Descriptors;
pub use crate::system::PeerCredentials;
#[cfg(unix)]
pub use crate::system::{MAX_DESCRIPTORS, Received, inherited, peer_credentials, receive, send};

/// How long a server keeps descriptors for the rest of a command in whose bytes they came. A peer that passes its own socket
/// and leaves in the middle of a command would otherwise keep its session by it.
pub const DESCRIPTOR_PATIENCE: Duration = Duration::from_secs(10);
