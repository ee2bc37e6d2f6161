#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! `target` says which servers there are, `source` asks one of them and the kernel, and `facts` is what comes of it.
//! `sample` does that again and again for all of them, each on its own. `view` makes rows of what was found, `output`
//! prints them, and `screen` shows them on a terminal. `doctor` judges it,
//! and `exporter` serves it over HTTP.

mod doctor;
mod exporter;
mod facts;
mod options;
mod output;
mod sample;
mod screen;
mod source;
mod system;
mod target;
mod thread;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::doctor::{Host, Report, Verdict};
use self::options::{Command, DoctorOptions, Looking, Options, ShowingOptions};
use self::output::{Recorder, Recording, Replay, Round, Show};
use self::screen::Showing;
use self::view::printable;

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
            let _ = writeln!(
                io::stderr(),
                "iothread-top: {}",
                printable(&error.to_string())
            );
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<ExitCode> {
    let Options {
        command,
        looking,
        showing,
    } = options;
    match command {
        None => show(looking, &showing),
        Some(Command::Doctor(options)) => examine(options),
        Some(Command::Exporter(options)) => {
            exporter::run(options)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Explain { code }) => {
            print(&doctor::explain(code))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(looking: Looking, showing: &ShowingOptions) -> io::Result<ExitCode> {
    let (settings, show, count) = (looking.settings(), showing.show(), showing.count());
    let is_text = showing.wants_text() || !io::stdout().is_terminal();
    let is_well = if let Some(file) = &showing.replay {
        let mut recording = Recording::open(file)?;
        if is_text {
            let next = || {
                let recorded = recording.next()?;
                Ok(recorded.map(|it| Round {
                    looks: it.looks,
                    n_left_out: 0,
                }))
            };
            output::run(next, &show, count)?
        } else {
            let replay = Replay::start(recording)?;
            screen::run(replay.board(), || replay.next(), on_screen(show))?;
            true
        }
    } else {
        let watch = looking.start()?;
        let record = |file| Recorder::start(file, watch.board(), settings.interval);
        let _recorder = showing.record.as_deref().map(record).transpose()?;
        if is_text {
            output::run(output::rounds(&watch, settings), &show, count)?
        } else {
            screen::run(watch.board(), || watch.refresh(), on_screen(show))?;
            true
        }
    };
    Ok(match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn on_screen(show: Show) -> Showing {
    Showing {
        fields: show.fields,
        filter: show.filter,
        order: show.order,
        grouping: show.grouping,
        shows_internal: show.shows_internal,
        has_colour: std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
    }
}

fn examine(options: DoctorOptions) -> io::Result<ExitCode> {
    let settings = options.looking.settings();
    let watch = options.looking.start()?;
    watch.board().wait_until_settled(&settings);
    let looks = watch.board().looks();
    let mut findings = doctor::judge(&looks, &Host::this());
    findings.retain(|it| !options.allow.contains(&it.code));
    let report = Report::new(findings, &looks);
    print(&match options.json {
        true => report.json(),
        false => report.text(),
    })?;
    Ok(match report.verdict() {
        Verdict::Well => ExitCode::SUCCESS,
        Verdict::Ill => ExitCode::FAILURE,
        Verdict::Unknown => ExitCode::from(3),
    })
}

/// Prints a text; nobody may be left to read it.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
