//! What connects the server with others: listeners, streams of bytes, addresses of sockets, and the descriptors that
//! come through them. It knows nothing of who speaks which protocol.
//!
//! - `protocol`: what any of them is, without I/O; `connection`: what drives one on a stream.
//! - `input`, `unsent`: what waits to be taken, and what waits to be sent.

pub(crate) mod address;
pub(crate) mod connection;
pub(crate) mod descriptors;
mod door;
#[cfg(any(test, fuzzing))]
pub(crate) mod drive;
pub(crate) mod input;
pub(crate) mod listener;
pub(crate) mod log;
pub(crate) mod protocol;
pub(crate) mod reach;
pub(crate) mod services;
pub(crate) mod sockets;
pub(crate) mod stream;
pub(crate) mod terminal;
pub(crate) mod unsent;
