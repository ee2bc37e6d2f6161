#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! [`options`] is the command line. [`peer`] connects and knows the server's schema, which [`cache`] keeps. [`arguments`] makes
//! values of words by the types of that schema, [`check`] looks whether they fit, [`run`] executes, and [`output`] prints.
//! [`line`] reads lines of scripts and of the [`shell`].

mod arguments;
mod cache;
mod check;
mod failure;
mod line;
mod options;
mod output;
mod peer;
mod run;
mod shell;
mod words;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::options::Options;
use self::output::shown;

/// The command line, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs the program of the same name with the arguments of this process, until it ends.
#[must_use]
pub fn main() -> ExitCode {
    // A wrong option ends the process here, with status 2.
    let options = Options::parse();
    match run::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be left to read it.
            let _ = writeln!(io::stderr(), "qmp: {}", shown(&failure.to_string()));
            failure.status().into()
        }
    }
}
