//! `qapi-gen check`

use std::io;
use std::process::ExitCode;

use super::schema::{LintArgs, LoadArgs, MessageFormat, diagnose, print_report};

/// Arguments of `check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main files of the schemas, what query-qmp-schema returned, or addresses of servers, such as unix:PATH.
    #[arg(required = true, value_name = "SCHEMA")]
    schemas: Vec<String>,
    /// How diagnostics are printed.
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: MessageFormat,
    #[command(flatten)]
    files: LoadArgs,
    #[command(flatten)]
    lints: LintArgs,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let mut is_good = true;
    for path in &args.schemas {
        let diagnosis = diagnose(path, &args.files, &args.lints)?;
        print_report(&diagnosis.report, &diagnosis.sources, args.message_format)?;
        is_good &= !diagnosis.report.has_errors();
        // The process is about to end: taking a large schema apart is for nothing.
        std::mem::forget(diagnosis);
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
