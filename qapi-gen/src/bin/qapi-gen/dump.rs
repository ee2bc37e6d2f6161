//! `qapi-gen dump`

use std::io;
use std::process::ExitCode;

use qapi_gen::backend::dump::dump;

use super::schema::{LintArgs, LoadArgs, print, print_first, read};

/// Arguments of `dump`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema, what query-qmp-schema returned, or the address of a server, such as unix:PATH.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    #[command(flatten)]
    files: LoadArgs,
    #[command(flatten)]
    lints: LintArgs,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    match read(&args.schema, &args.files, &args.lints)? {
        Ok(compiled) => print(dump(compiled.schema()).as_bytes()),
        Err(rejected) => {
            print_first(&rejected)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
