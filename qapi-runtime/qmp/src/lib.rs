#![doc = include_str!("../README.md")]
//!
//! # As a library
//!
//! [`record`], [`replay`] and [`torment`] are for tests of programs that use a client, in any language: a proxy that writes down what
//! goes through it, a server that answers as was written down, and one that behaves as no server should. [`kit`] runs a client
//! through all that the last one does.
//!
//! # How it is made
//!
//! `command_line` and `options` are what was asked for. For one command, `peer` connects and knows the server's schema, which
//! `cache` keeps; `arguments` makes values of words by the types of that schema, `check` looks whether they fit, `run`
//! executes, and `output` prints. `line` reads lines of scripts and of the `shell`. For sessions of others, `session` starts
//! [`record`], [`replay`], [`torment`] and [`kit`], which stand on `wire`.

mod arguments;
mod cache;
mod check;
mod command_line;
mod failure;
pub mod kit;
mod line;
mod options;
mod output;
mod peer;
pub mod record;
pub mod replay;
mod run;
mod session;
mod shell;
mod system;
mod thread;
pub mod torment;
mod wire;
mod words;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::command_line::CommandLine;
use self::output::shown;

/// The command line, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the program of the same name with the arguments of this process, until it ends.
#[must_use]
pub fn main() -> ExitCode {
    // A wrong option ends the process here, with status 2.
    let CommandLine { tool, options } = CommandLine::parse();
    let result = match (tool, options) {
        (Some(tool), _) => session::run(&tool),
        (None, Some(options)) => run::run(&options),
        (None, None) => CommandLine::command()
            .error(
                clap::error::ErrorKind::MissingRequiredArgument,
                "an address is expected",
            )
            .exit(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be left to read it.
            let _ = writeln!(io::stderr(), "qmp: {}", shown(&failure.to_string()));
            failure.status().into()
        }
    }
}
