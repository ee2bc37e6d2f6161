//! The library on real threads, with real file descriptors. Each test has a registry of its own but the one that says so.

mod bottom_halves;
mod calls;
mod eventfds;
mod fds;
mod fixture;
#[cfg(feature = "async")]
mod futures;
mod holders;
mod hooks;
mod later;
mod main_loop;
mod package;
mod pauses;
mod phases;
mod polling;
mod releases;
mod shared;
mod threads;
mod timers;
#[cfg(feature = "tracing")]
mod traces;
mod waits;
mod workers;
