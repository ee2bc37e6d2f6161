//! What connects the server with others: listeners, streams of bytes, addresses of sockets, and the descriptors that
//! come through them. It knows nothing of who speaks which protocol.

pub(crate) mod address;
pub(crate) mod descriptors;
mod door;
pub(crate) mod listener;
pub(crate) mod log;
pub(crate) mod reach;
mod services;
pub(crate) mod sockets;
pub(crate) mod stream;
pub(crate) mod terminal;
