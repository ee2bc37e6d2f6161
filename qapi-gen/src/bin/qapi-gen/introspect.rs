//! `qapi-gen introspect`

use std::io;
use std::process::ExitCode;

use qapi_gen::backend::introspect::{Options, introspect};

use super::schema::{
    ConfigArgs, LintArgs, LoadArgs, print, print_open_condition, read_for_output, take_only,
};

/// Arguments of `introspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema, what query-qmp-schema returned, or the address of a server, such as unix:PATH.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// Show the names of types, and types that nothing uses.
    #[arg(long)]
    unmask: bool,
    /// Take only these commands, events and types of the schema, with everything that they use.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    files: LoadArgs,
    #[command(flatten)]
    lints: LintArgs,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let configuration = args.config.read()?;
    let Some(schema) = read_for_output(&args.schema, &args.files, &args.lints)? else {
        return Ok(ExitCode::FAILURE);
    };
    let schema = take_only(schema, &args.only)?;
    let options = Options {
        unmask: args.unmask,
    };
    match introspect(&schema, &configuration, options) {
        Ok(mut array) => {
            array.push('\n');
            print(array.as_bytes())
        }
        Err(open) => print_open_condition(&open, schema.sources()),
    }
}
