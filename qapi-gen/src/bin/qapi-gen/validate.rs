//! `qapi-gen validate`

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use qapi_gen::validate::Validator;

use super::schema::{
    ConfigArgs, LintArgs, MessageFormat, print_open_condition, print_report, read_for_output,
};

/// Arguments of `validate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// The commands, one a line; standard input without it.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    lints: LintArgs,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let configuration = args.config.read()?;
    let checked = read_for_output(&args.schema, &args.lints);
    print_report(&checked.report, &checked.sources, MessageFormat::Human)?;
    let Some(schema) = &checked.schema else {
        return Ok(ExitCode::FAILURE);
    };
    let validator = match Validator::new(schema, &configuration) {
        Ok(validator) => validator,
        Err(open) => return Ok(print_open_condition(&open, &checked.sources)),
    };
    let commands: Box<dyn BufRead> = match &args.file {
        Some(path) => {
            let in_file = |error| io::Error::other(format!("{}: {error}", path.display()));
            Box::new(BufReader::new(File::open(path).map_err(in_file)?))
        }
        None => Box::new(io::stdin().lock()),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for line in commands.split(b'\n') {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        out.write_all(&validator.reply(&line))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
