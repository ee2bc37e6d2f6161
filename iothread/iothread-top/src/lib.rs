#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! [`target`] says which servers there are, [`source`] asks one of them and the kernel, and [`facts`] is what comes of it.
//! [`sample`] does that again and again for all of them, each on its own. [`view`] makes rows of what was found, [`output`]
//! prints them, and [`screen`] shows them on a terminal.

mod facts;
mod options;
mod output;
mod sample;
mod screen;
mod source;
mod target;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::options::Options;
use self::sample::Watch;
use self::screen::Showing;

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
    match run(options) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(io::stderr(), "iothread-top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<ExitCode> {
    let Options { looking, showing } = options;
    let (settings, show) = (looking.settings(), showing.show());
    let watch = Watch::start(looking.targets, settings)?;
    if showing.wants_text() || !io::stdout().is_terminal() {
        let is_well = output::run(&watch, &show, showing.count(), &settings)?;
        return Ok(match is_well {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    let showing = Showing {
        fields: show.fields.0,
        filter: show.filter,
        order: show.order,
        grouping: show.grouping,
        shows_internal: show.shows_internal,
        has_colour: std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
    };
    screen::run(&watch, showing)?;
    Ok(ExitCode::SUCCESS)
}
