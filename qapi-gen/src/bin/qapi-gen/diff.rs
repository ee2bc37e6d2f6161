//! `qapi-gen diff`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::ValueEnum;
use qapi_gen::diagnostic::{Code, Diagnostic, Level, render_human, render_json};
use qapi_gen::diff::{Change, Perspective, Side, compare};

use super::console;
use super::interface::{Input, read, render_short_change};
use super::schema::{ConfigArgs, LoadArgs, MessageFormat};

/// Arguments of `diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The interface as it was: the main file of a schema, what query-qmp-schema returned, or the address of a server, such
    /// as unix:PATH.
    #[arg(value_name = "OLD")]
    old: String,
    /// The interface as it is now, in either form.
    #[arg(value_name = "NEW")]
    new: String,
    /// Which side still uses the old interface.
    #[arg(
        long = "for",
        value_enum,
        default_value = "clients",
        value_name = "WHOM"
    )]
    whom: Whom,
    /// Do not report changes of this code.
    #[arg(long, value_name = "CODE")]
    allow: Vec<Code>,
    /// Name all commands and events that a change reaches. Without it only the nearest one is named, and the others
    /// are counted.
    #[arg(long)]
    all: bool,
    /// How changes are printed.
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: MessageFormat,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    files: LoadArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Whom {
    /// What fails when old clients meet a new server; and, as warnings, what they should know.
    Clients,
    /// What new clients miss in an old server.
    Servers,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let configuration = args.config.read()?;
    // Mistakes in both schemas are printed.
    let (old, new) = (
        read(&args.old, &configuration, &args.files)?,
        read(&args.new, &configuration, &args.files)?,
    );
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(ExitCode::FAILURE);
    };
    let perspective = match args.whom {
        Whom::Clients => Perspective::Clients,
        Whom::Servers => Perspective::Servers,
    };
    let changes = compare(&old.interface, &new.interface, perspective);
    let mut out = console::coloured_stdout()?;
    let mut is_compatible = true;
    for change in changes
        .iter()
        .filter(|change| !args.allow.contains(&change.diagnostic.code))
    {
        is_compatible &= change.diagnostic.level != Level::Deny;
        let input = match change.side {
            Side::Old => &old,
            Side::New => &new,
        };
        out.write_all(render(change, input, args).as_bytes())?;
    }
    out.flush()?;
    Ok(if is_compatible {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn render(change: &Change, input: &Input<'_>, args: &Args) -> String {
    let sources = &*input.sources;
    let diagnostic = &Diagnostic {
        note: change.reached.note(args.all),
        ..change.diagnostic.clone()
    };
    match args.message_format {
        MessageFormat::Human => {
            let text = render_human(diagnostic, sources, true);
            format!("{}\n\n", text.trim_end())
        }
        MessageFormat::Json => render_json(diagnostic, sources),
        MessageFormat::Short => render_short_change(diagnostic, input),
    }
}
