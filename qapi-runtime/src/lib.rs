#![cfg_attr(
    all(feature = "client", feature = "server"),
    doc = include_str!("../README.md")
)]
#![cfg_attr(
    not(all(feature = "client", feature = "server")),
    doc = "QMP for Rust: the parts that the chosen features bring."
)]
//!
//! # Modules
//!
//! | module | what it is | feature |
//! |---|---|---|
//! | [`address`] | where peers are, as a type and as text | |
//! | `client` | clients of QMP and of the guest agent, and mocks for their tests | `client-async`, `client-blocking`, `mock` |
//! | `server` | a server for any number of clients, and what its owner decides | `server` |
//! | [`dispatch`] | from the name of a command to what executes it | |
//! | [`introspection`] | what a server tells of itself, and paths in it | |
//! | [`message`] | commands and events as types | |
//! | [`visit`] | between JSON values and Rust types, with QEMU's checks and texts | |
//! | [`json`] | the wire's JSON dialect: parser, values, writer | |
//! | [`transcript`] | the log of a session | |
//! | [`session`] | the server's side of one connection as a state machine without I/O | |
//! | [`budget`] | memory that sessions and connections share | |
//! | `descriptor` | descriptors that travel beside the bytes of a unix socket | `descriptor` |
//! | `socket` | unix sockets that listen, and who owns their paths | `descriptor`, on unix |
//!
//! Without features the crate does no I/O and starts no thread.
//!
//! # Other libraries in the interface
//!
//! - serde: generated types, [`Value`] and [`json::Document`] implement its two traits, so that they go into any format.
//! - tokio: the server and the asynchronous client run on it, and take streams by its `AsyncRead` and `AsyncWrite`.
//!
//! A new major version of one of these is a new major version here. All others may change at any time.
//!
//! # Where it differs from QEMU on purpose
//!
//! - An infinite number, which QEMU prints as `inf`, is printed as a number (see
//!   [`json::Writer::double`]).
//! - A handler that panics answers its client with an error; other clients do not notice.
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

#[cfg(all(target_family = "wasm", feature = "descriptor"))]
compile_error!(
    "WebAssembly has no sockets for `server`, `client-async`, `client-blocking`, `mock` and `descriptor` of qapi-runtime: \
     leave these features out, and drive `session::Session` and the streams of your host yourself"
);

pub mod address;
pub mod budget;
#[cfg(any(feature = "client-async", feature = "client-blocking"))]
pub mod client;
#[doc(hidden)]
pub mod codegen;
#[cfg(feature = "descriptor")]
pub mod descriptor;
mod dialect;
pub mod dispatch;
mod error;
mod interop;
pub mod introspection;
pub mod json;
mod lock;
pub mod message;
#[cfg(any(feature = "client-blocking", all(windows, feature = "descriptor")))]
mod parking;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
#[cfg(all(unix, feature = "descriptor"))]
pub mod socket;
#[cfg(feature = "descriptor")]
mod system;
pub mod transcript;
#[cfg(any(feature = "client-async", feature = "server"))]
mod transport;
mod value;
pub mod visit;

pub use self::error::{Error, ErrorClass, UnknownName};
#[cfg(all(windows, feature = "server"))]
use self::system::socket;
pub use self::value::{Object, Value};
pub use self::visit::builtin::{Null, QType};
