//! The library: what it refuses, what it makes, and what holds for any input.

mod limits;
mod manual;
mod print;
#[cfg(unix)]
mod process;
mod random;
mod rare_input;
mod rust;
mod subset;
mod usage;
