//! What the workspace's tests share: tools that may be absent, a running `iothreadd`, crates of
//! generated code.

pub mod arbitrary;
mod daemon;
pub mod generated;
mod qmp;
mod suite;

pub use daemon::Daemon;
pub use qmp::Qmp;
pub use suite::{Suite, Tool};
