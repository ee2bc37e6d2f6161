//! What the workspace's tests share: tools that may be absent, a running `iothreadd`, crates of
//! generated code.

pub mod arbitrary;
mod daemon;
pub mod generated;
mod qemu;
mod qmp;
mod suite;

pub use daemon::Daemon;
pub use qemu::Qemu;
pub use qmp::Qmp;
pub use suite::{Suite, Tool};
