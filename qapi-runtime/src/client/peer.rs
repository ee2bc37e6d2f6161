//! Who is at the other end.

use std::sync::Arc;

use crate::address::Address;

/// What the client is connected to.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    At(Address),
    /// A stream that somebody else has made, by the name that errors have for it.
    Stream(Arc<str>),
}
