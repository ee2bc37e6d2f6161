//! What code generated from a QAPI schema needs, and what peers of QMP are built from.
//!
//! - [`json`]: the wire's JSON dialect.
//! - [`visit`]: between JSON values and Rust types.
//! - [`dispatch`]: from the name of a command to its handler.
//! - [`session`]: one QMP session as a state machine without I/O.

#![deny(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
mod descriptor;
pub mod dispatch;
mod error;
pub mod interop;
pub mod json;
#[cfg(feature = "tokio")]
pub mod server;
pub mod session;
#[cfg(feature = "tokio")]
mod transport;
mod value;
pub mod visit;

#[cfg(feature = "tokio")]
pub use self::descriptor::Descriptors;
#[cfg(feature = "client")]
pub use self::descriptor::MAX_DESCRIPTORS;
pub use self::error::{Error, ErrorClass, UnknownName};
pub use self::value::{Object, Value};
pub use self::visit::{Null, QType};

#[doc(hidden)]
pub use serde;
