#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! [`source`] asks the server and the kernel, [`table`] lays out what came, [`batch`] prints it line by line, and
//! [`screen`] shows it on a terminal.

mod batch;
mod options;
mod screen;
mod source;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::options::Options;
use self::source::Source;

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
    let result = Source::connect(&options.address, options.internal).and_then(|mut source| {
        if options.batch || !std::io::stdout().is_terminal() {
            batch::run(&mut source, &options)
        } else {
            screen::run(&mut source, options.interval())
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "iothread-top: {error}");
            ExitCode::FAILURE
        }
    }
}
