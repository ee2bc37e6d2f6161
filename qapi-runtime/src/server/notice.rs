//! What the operator of a server may want to know.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::error::Error;

/// Something that happened to a server and that no client is told. `Display` is a line for a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A client on TCP began like HTTP or TLS, as a web page has a browser do, and was disconnected before anything that it sent
    /// was looked at.
    Foreign {
        /// The number of its connection.
        connection: u64,
        /// Where it is.
        peer: Option<SocketAddr>,
        /// The name of the protocol.
        protocol: &'static str,
    },
    /// A client was not served: there are as many as may be ([`Server::set_max_sessions`](super::Server::set_max_sessions)), or
    /// [`Hooks::connected`](super::Hooks::connected) has refused it.
    Refused {
        /// The number of its connection.
        connection: u64,
        /// Why.
        error: Error,
    },
    /// Clients cannot be accepted, for want of descriptors most likely. It is told once until it works again; meanwhile the
    /// server tries ten times a second.
    NotAccepted(io::Error),
    /// A client was disconnected at the end of the server although commands of it had no reply, or none that it has read.
    Unanswered {
        /// The number of its connection.
        connection: u64,
        /// How many commands.
        n_commands: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign {
                connection,
                peer,
                protocol,
            } => {
                write!(f, "connection {connection}")?;
                if let Some(peer) = peer {
                    write!(f, " from {peer}")?;
                }
                write!(f, " begins like {protocol}, so it was ended")
            }
            Self::Refused { connection, error } => {
                write!(f, "connection {connection} was refused: {error}")
            }
            Self::NotAccepted(error) => write!(f, "cannot accept a client: {error}"),
            Self::Unanswered {
                connection,
                n_commands,
            } => write!(
                f,
                "connection {connection} was ended with {n_commands} commands unanswered"
            ),
        }
    }
}
