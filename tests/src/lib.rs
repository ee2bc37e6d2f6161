//! What the workspace's tests share: tools that may be absent, servers in processes of their own, a
//! connection to them, crates of generated code.

#[cfg(feature = "generated")]
pub mod arbitrary;
#[cfg(feature = "generated")]
pub mod generated;
mod iothreadd;
#[cfg(feature = "load")]
pub mod load;
mod qmp;
mod random;
mod server;
mod suite;

pub use iothreadd::iothreadd;
pub use qmp::{Qmp, replace};
pub use random::Random;
pub use server::Server;
pub use suite::{Suite, Tool};
