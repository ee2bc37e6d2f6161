//! The runtime from outside: wire and types, sessions, servers and clients.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

#[cfg(all(unix, feature = "client", feature = "server"))]
mod bounds;
#[cfg(all(feature = "client", feature = "server"))]
mod client;
#[cfg(all(feature = "client", feature = "server"))]
mod completions;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod cut;
mod json;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod lifelines;
#[cfg(all(target_os = "linux", feature = "client", feature = "server"))]
mod live;
#[cfg(all(target_os = "linux", feature = "client", feature = "server"))]
mod lost;
mod memory;
#[cfg(all(feature = "client", feature = "server"))]
mod mocks;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod outcomes;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod peers;
#[cfg(all(feature = "client", feature = "server"))]
mod plans;
#[cfg(all(feature = "client", feature = "server"))]
mod probes;
mod recordings;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod server;
mod session;
#[cfg(all(unix, feature = "descriptor"))]
mod socket;
#[cfg(all(target_os = "linux", feature = "client", feature = "server"))]
mod streams;
#[cfg(all(feature = "client", feature = "server"))]
mod systems;
mod visit;
