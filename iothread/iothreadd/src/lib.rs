#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! One module per concern, in floors: `options` and `keyval` read the command line, `server` makes everything and ends it,
//! `monitor` and `hmp` are the two ways in, `commands` maps each QMP command to one of the `parts` that executes it, and
//! these are made with the `host`. `ARCHITECTURE.md` of the repository has the whole map.
//!
//! The main loop runs on the main thread and is the only place where anything is created, moved
//! or deleted; monitors run on an internal IOThread and read through the parts' locks.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod block;
mod blockdev;
mod budgets;
mod calls;
mod cause;
mod chardev;
mod coming;
mod commands;
mod devices;
mod errno;
mod events;
mod export;
mod finally;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod help;
mod history;
mod hmp;
mod host;
mod ident;
mod keyval;
mod latency;
mod leaving;
mod life;
mod logging;
mod metrics;
mod monitor;
mod nbd;
mod net;
mod objects;
mod oneshot;
mod options;
mod parts;
pub mod qapi;
mod qemu_text;
mod qom;
mod report;
mod server;
mod signals;
mod sync;
mod task;
mod threads;
mod version;
mod vhost_user_blk;
mod yank;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tracing::Level;

use self::options::Options;

/// The command line, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs the program of the same name with the arguments of this process, until it ends.
#[must_use]
pub fn main() -> ExitCode {
    // A wrong option ends the process here, with code 2.
    let options = Options::parse();
    match options.help() {
        Some(Ok(help)) => {
            // There is no reader, so nothing is lost.
            let _ = std::io::stdout().write_all(help.as_bytes());
            return ExitCode::SUCCESS;
        }
        Some(Err(error)) => return failure(&error),
        None => {}
    }
    match options.log_filter() {
        Ok(Some(filter)) => logging::start(&filter),
        Ok(None) => {}
        Err(error) => return failure(&error),
    }
    match server::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error.to_string()),
    }
}

/// Tells why the program ends.
fn failure(error: &str) -> ExitCode {
    logging::tell(Level::ERROR, error);
    ExitCode::FAILURE
}
