//! The runtime from outside: wire and types, sessions, servers and clients.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

#[cfg(all(feature = "client", feature = "server"))]
mod bounds;
#[cfg(all(feature = "client", feature = "server"))]
mod client;
#[cfg(all(feature = "client", feature = "server"))]
mod completions;
#[cfg(all(feature = "client", feature = "server"))]
mod cut;
mod json;
#[cfg(all(feature = "client", feature = "server"))]
mod lifelines;
#[cfg(all(feature = "client", feature = "server"))]
mod live;
#[cfg(all(feature = "client", feature = "server"))]
mod lost;
mod memory;
#[cfg(all(feature = "client", feature = "server"))]
mod mocks;
#[cfg(all(feature = "client", feature = "server"))]
mod outcomes;
#[cfg(all(feature = "client", feature = "server"))]
mod peers;
#[cfg(all(feature = "client", feature = "server"))]
mod plans;
#[cfg(all(feature = "client", feature = "server"))]
mod probes;
mod recordings;
#[cfg(all(feature = "client", feature = "server"))]
mod server;
mod session;
#[cfg(feature = "descriptor")]
mod socket;
#[cfg(all(feature = "client", feature = "server"))]
mod streams;
mod visit;
