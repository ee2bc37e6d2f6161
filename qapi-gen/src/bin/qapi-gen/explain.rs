//! `qapi-gen explain`

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use qapi_gen::diagnostic::{Code, Lint};

use super::schema::print;

/// Arguments of `explain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A code such as Q0101, or the name of a lint.
    #[arg(required_unless_present = "list")]
    code: Option<Code>,
    /// List every code and lint with its title.
    #[arg(long, conflicts_with = "code")]
    list: bool,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    match args.code {
        Some(code) => print(code.explanation().as_bytes()),
        None => print(list().as_bytes()),
    }
}

fn list() -> String {
    let mut out = String::new();
    let lints = Lint::ALL.iter().copied().map(Code::Lint);
    for code in Code::ALL.iter().copied().chain(lints) {
        // The first line of a page is `# CODE: title`.
        let heading = code.explanation().lines().next().unwrap_or_default();
        let title = heading.split_once(": ").map_or("", |(_, title)| title);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:<24} {title}", code.as_str());
    }
    out
}
