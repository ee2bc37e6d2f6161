//! The command line of the QAPI schema compiler.
//!
//! Exit codes: 0 fine, 1 diagnostics or a file that cannot be read or written, 2 usage.

mod check;
mod compat;
mod config;
mod console;
mod diff;
mod doc;
mod dump;
mod emit;
mod explain;
mod generate;
mod interface;
mod interrupt;
mod introspect;
mod schema;
mod server;
mod validate;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Checks QAPI schemas, and generates code, introspection data and manuals from them.
#[derive(Parser)]
#[command(name = "qapi-gen", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report every mistake in the given schemas.
    Check(check::Args),
    /// Write the reference manual: HTML, Markdown or man pages.
    Doc(doc::Args),
    /// Print the checked schema as text, in the form of the reference test suite.
    Dump(dump::Args),
    /// Write Rust: types, commands, events, dispatcher, introspection.
    Generate(Box<generate::Args>),
    /// Print what query-qmp-schema returns: the wire interface as one JSON array.
    Introspect(introspect::Args),
    /// Check QMP commands, a JSON object per line, and print what a server must answer to each.
    Validate(validate::Args),
    /// Tell what a change of the interface breaks, and for whom.
    Diff(diff::Args),
    /// Tell with which versions a program works, from what it was recorded to send and read.
    Compat(compat::Args),
    /// Explain the rule that a diagnostic's code stands for.
    Explain(explain::Args),
    /// Write the man pages of this program, one for each command.
    Man {
        /// The folder, which is made if it does not exist.
        #[arg(long, value_name = "DIR")]
        out_dir: PathBuf,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let parsed = interrupt::survive_full_files().map(|()| Cli::try_parse());
    let result = parsed.and_then(|parsed| match parsed {
        Ok(cli) => run(cli.command),
        Err(message) => Ok(tell(&message)),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            // A reader that went away wants no message.
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                // Where this cannot be written either, the status tells.
                let _ = console::complain(format_args!("qapi-gen: {error}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> io::Result<ExitCode> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Doc(args) => doc::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Introspect(args) => introspect::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Compat(args) => compat::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Man { out_dir } => write_man_pages(&out_dir),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "qapi-gen", &mut script);
            schema::print(&script)
        }
    }
}

fn write_man_pages(folder: &Path) -> io::Result<ExitCode> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| {
            let text = format!("cannot write man pages to '{}': {error}", folder.display());
            io::Error::new(error.kind(), text)
        })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints help or what is wrong with the arguments.
fn tell(message: &clap::Error) -> ExitCode {
    let is_told = match message.use_stderr() {
        true => message.print(),
        false => console::stdout().and_then(|_| message.print()),
    };
    match (is_told, u8::try_from(message.exit_code())) {
        (Ok(()), Ok(code)) => ExitCode::from(code),
        (Err(_), Ok(code)) if code > 0 => ExitCode::from(code),
        (Ok(()) | Err(_), _) => ExitCode::FAILURE,
    }
}
