//! The library on real threads, with real file descriptors. Each test has a registry of its own but the one that says so.

mod bottom_halves;
mod calls;
mod fds;
mod fixture;
mod holders;
mod main_loop;
mod polling;
mod releases;
mod threads;
mod timers;
mod waits;
mod workers;
