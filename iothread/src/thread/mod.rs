//! IOThreads, and which of them there are.
//!
//! - `iothread`: one of them; `registry`: all of a program, or of a part of it.

mod iothread;
mod registry;

pub use self::iothread::{DeleteError, DeleteThenError, IoThread};
pub use self::registry::{Registry, query_internal_iothreads, query_iothreads};
