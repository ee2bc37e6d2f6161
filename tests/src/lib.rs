//! What the workspace's tests share: tools that may be absent, servers in processes of their own, a
//! connection to them, crates of generated code.

pub mod arbitrary;
pub mod generated;
mod iothreadd;
pub mod load;
mod qmp;
pub mod script;
mod server;
mod suite;
mod webdriver;

pub use iothreadd::iothreadd;
pub use qmp::{Qmp, replace};
pub use server::Server;
pub use suite::{Suite, Tool};
pub use webdriver::Browser;
