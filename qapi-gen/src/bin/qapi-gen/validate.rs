//! `qapi-gen validate`

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use qapi_gen::validate::Validator;

use super::console;
use super::schema::{ConfigArgs, LintArgs, LoadArgs, print_open_condition, read_for_output};

/// The longest command, in bytes; longer ones are more than a server takes.
const MAX_COMMAND: usize = 64 << 20;

/// Arguments of `validate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema, what query-qmp-schema returned, or the address of a server, such as unix:PATH.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// The commands: any number of JSON objects a line, each whole on its line. Standard input if it is `-` or absent.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// End with status 1 if a command was refused, or if a value is not a command. Without it the status is 0,
    /// whatever the answers are.
    #[arg(long)]
    exit_code: bool,
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
    let validator = match Validator::new(&schema, &configuration) {
        Ok(validator) => validator,
        Err(open) => return print_open_condition(&open, schema.sources()),
    };
    let file = args.file.as_ref().filter(|path| path.as_os_str() != "-");
    let mut commands: Box<dyn BufRead> = match file {
        Some(path) => {
            let in_file = |error| io::Error::other(format!("{}: {error}", path.display()));
            Box::new(BufReader::new(File::open(path).map_err(in_file)?))
        }
        None => Box::new(io::stdin().lock()),
    };
    let mut out = BufWriter::new(console::stdout()?);
    let mut line = Vec::new();
    let mut all_accepted = true;
    for number in 1_usize.. {
        line.clear();
        let mut rest = (&mut commands).take(MAX_COMMAND as u64 + 1);
        if rest.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() > MAX_COMMAND && !line.ends_with(b"\n") {
            out.flush()?;
            let reason = format!("line {number} is longer than {} MiB", MAX_COMMAND >> 20);
            return Err(io::Error::other(reason));
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        validator.answer(&line, |answer| {
            all_accepted &= answer.is_accepted;
            out.write_all(&answer.reply)?;
            out.write_all(b"\n")
        })?;
    }
    out.flush()?;
    Ok(if all_accepted || !args.exit_code {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
