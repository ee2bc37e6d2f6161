//! `qapi-gen diff`

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use qapi_gen::diagnostic::{Code, Diagnostic, Level, render_human, render_json};
use qapi_gen::diff::{Change, Interface, Perspective, Side, compare};
use qapi_gen::internals::read_input;
use qapi_gen::ir::Configuration;
use qapi_gen::source::SourceMap;

use super::schema::{ConfigArgs, LintArgs, LoadArgs, MessageFormat, read_for_output};
use super::{console, server};

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

/// One side of the comparison.
struct Input<'a> {
    path: &'a str,
    interface: Interface,
    sources: Arc<SourceMap>,
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

/// Reads either form; `None` if the schema has mistakes, which are printed.
fn read<'a>(
    path: &'a str,
    configuration: &Configuration,
    files: &LoadArgs,
) -> io::Result<Option<Input<'a>>> {
    let in_file = |error: String| io::Error::other(format!("{path}: {error}"));
    let is_server = server::is_address(path);
    let bytes = match is_server {
        true => server::ask_at(path)?,
        false => read_input(Path::new(path)).map_err(|error| in_file(error.to_string()))?,
    };
    if is_server || is_json(&bytes) {
        let interface = Interface::of_introspection(&bytes);
        return Ok(Some(Input {
            path,
            interface: interface.map_err(|error| in_file(error.to_string()))?,
            sources: Arc::default(),
        }));
    }
    let schema = read_for_output(path, files, &LintArgs::default())?;
    Ok(schema.map(|schema| Input {
        path,
        interface: Interface::of_schema(&schema, configuration),
        sources: Arc::clone(schema.sources()),
    }))
}

/// Whether a file is meant to be JSON, complete or not: strings of schemas have single quotes.
fn is_json(bytes: &[u8]) -> bool {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = text.trim_ascii_start();
    match text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) {
        Some(rest) => matches!(rest.first(), None | Some(b'"' | b'}')),
        None => {
            matches!(text.first(), Some(b'[' | b'"'))
                || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
        }
    }
}

fn render(change: &Change, input: &Input<'_>, args: &Args) -> String {
    let sources = &*input.sources;
    let also = change.reached.note(args.all);
    let diagnostic = &Diagnostic {
        note: also.clone(),
        ..change.diagnostic.clone()
    };
    match args.message_format {
        MessageFormat::Human => {
            let text = render_human(diagnostic, sources, true);
            format!("{}\n\n", text.trim_end())
        }
        MessageFormat::Json => render_json(diagnostic, sources),
        MessageFormat::Short => {
            let place = match diagnostic.primary {
                Some(span) => {
                    let (file, at) = (sources.file(sources.file_of(span)), sources.position(span));
                    format!("{}:{}:{}", file.name(), at.line, at.column)
                }
                None => input.path.to_owned(),
            };
            let (level, code) = (diagnostic.level.as_str(), diagnostic.code.as_str());
            let also = also.map_or_else(String::new, |also| format!(" ({also})"));
            format!("{place}: {level}[{code}]: {}{also}\n", diagnostic.message)
        }
    }
}
