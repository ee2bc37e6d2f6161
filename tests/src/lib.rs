//! The test kit, which the suites of all crates share: servers in processes of their own, a connection to them, tools
//! that may be absent, expected outputs, panics that nobody sees, and crates of generated code.
//!
//! A suite stands beside the crate that it tests. What needs a peer, a program that cargo does not bring, is named so that
//! `cargo xtask test` leaves it to `--live`: [`Suite::with`] does it by the tool, and a function stands in a module `live`.

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "generated")]
pub mod arbitrary;
#[cfg(feature = "generated")]
pub mod generated;
pub mod golden;
mod guest;
pub mod http;
#[cfg(unix)]
mod iothreadd;
#[cfg(all(unix, feature = "load"))]
pub mod load;
pub mod panics;
mod patience;
mod places;
#[cfg(unix)]
mod qmp;
mod random;
pub mod reference;
#[cfg(target_os = "linux")]
pub mod refusals;
#[cfg(unix)]
mod runner;
mod schemas;
#[cfg(unix)]
mod server;
#[cfg(feature = "service")]
mod service;
mod suite;
#[cfg(unix)]
mod terminal;

pub use guest::{Archive, GuestLinux};
#[cfg(unix)]
pub use iothreadd::{IOTHREADD, iothreadd, iothreadd_of_this, is_iothreadd};
pub use patience::{PATIENCE, comes_true, eventually};
pub use places::{PEER, RUNNER, program, temporary, workspace};
#[cfg(unix)]
pub use qmp::{Qmp, replace, send_with};
pub use random::Random;
#[cfg(unix)]
pub use runner::{is_emulated, link, skips_emulated, stand_in};
pub use schemas::{QEMU_SCHEMAS, qemu_schema, schemas};
#[cfg(unix)]
pub use server::Server;
#[cfg(feature = "service")]
pub use service::service;
pub use suite::{LIVE, Suite, Tool};
#[cfg(unix)]
pub use terminal::Terminal;
