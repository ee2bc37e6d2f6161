//! The runtime from outside: wire and types, sessions, servers and clients.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

#[cfg(feature = "tokio")]
mod bounds;
#[cfg(feature = "tokio")]
mod client;
mod json;
#[cfg(feature = "tokio")]
mod live;
#[cfg(feature = "tokio")]
mod lost;
mod memory;
#[cfg(feature = "tokio")]
mod mocks;
#[cfg(feature = "tokio")]
mod outcomes;
#[cfg(feature = "tokio")]
mod peers;
mod recordings;
#[cfg(feature = "tokio")]
mod server;
mod session;
#[cfg(feature = "descriptor")]
mod socket;
#[cfg(feature = "tokio")]
mod streams;
mod visit;
