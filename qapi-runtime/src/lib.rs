#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | what it is | feature |
//! |---|---|---|
//! | [`address`] | where peers are, as a type and as text | |
//! | [`json`] | the wire's JSON dialect: tape, incremental parser, writer | |
//! | [`visit`] | between JSON values and Rust types, with QEMU's checks and texts | |
//! | [`dispatch`] | from the name of a command to its handler | |
//! | [`message`] | commands and events as types | |
//! | [`budget`] | memory that sessions and connections share | |
//! | [`session`] | the server's side of one connection as a state machine without I/O | |
//! | `descriptor` | descriptors that travel beside the bytes of a unix socket | `descriptor` |
//! | `socket` | unix sockets that listen, and whose path is whose | `descriptor` |
//! | `client` | clients of QMP and of the guest agent, and mocks for their tests | `client`; `tokio` for the asynchronous one |
//! | `server` | a server for any number of clients | `tokio` |
//!
//! Without features the crate does no I/O and starts no thread. With them it needs Linux.
//!
//! # Where it differs from QEMU on purpose
//!
//! - An infinite number, which QEMU prints as `inf`, is printed as a number (see
//!   [`json::Writer::double`]).
//! - A handler that panics answers its client with an error, and nobody else notices.
//! - Events for a client that reads nothing are dropped at a limit
//!   ([`session::SessionConfig::max_unsent_events`]), and while the memory that sessions share is used up
//!   ([`session::SessionConfig::budget`]).
//! - A client on TCP that begins like HTTP or TLS is disconnected ([`session::SessionConfig::ends_foreign`]).
//! - The session of a client that has closed its socket ends, and does not wait for the command that runs.
//! - Descriptors that no command takes are closed with the bytes that they came with.
//! - A client that closes its sending half gets all its replies before the connection ends.
//! - `-compat` has no `crash`.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod address;
pub mod budget;
#[cfg(any(feature = "client-async", feature = "client-blocking"))]
pub mod client;
#[doc(hidden)]
pub mod codegen;
#[cfg(feature = "descriptor")]
pub mod descriptor;
pub mod dispatch;
mod error;
mod interop;
pub mod json;
pub mod message;
mod object;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
#[cfg(feature = "descriptor")]
pub mod socket;
#[cfg(any(
    feature = "client-async",
    feature = "client-blocking",
    feature = "server"
))]
mod trace;
#[cfg(any(feature = "client-async", feature = "server"))]
mod transport;
mod value;
pub mod visit;

pub use self::error::{Error, ErrorClass, UnknownName};
pub use self::object::Object;
pub use self::value::Value;
pub use self::visit::builtin::{Null, QType};
