//! What the workspace's tests share: tools that may be absent, and a running `iothreadd`.

mod daemon;
mod suite;

pub use daemon::Daemon;
pub use suite::{Suite, Tool};
