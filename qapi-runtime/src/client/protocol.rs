//! The client's side of the protocol as a state machine without I/O: for programs that have an event loop of their own.

pub use super::core::{Admission, ClientCore, Incoming, MAX_IN_BAND};
pub use super::request::{Answer, Encoded};
