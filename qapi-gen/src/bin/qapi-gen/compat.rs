//! `qapi-gen compat`

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use qapi_gen::diagnostic::{Code, Diagnostic, render_human, render_json};
use qapi_gen::diff::Change;
use qapi_gen::internals::compat::{Answer, Verdict, judge};
use qapi_gen::internals::read_input;
use serde_json::{Value, json};

use super::console;
use super::interface::{Input, read, render_short_change};
use super::schema::{ConfigArgs, LoadArgs, MessageFormat};

/// Arguments of `compat`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the program uses: the log of a session, as `qmp record` and clients write it, or a manifest, a path such as
    /// query-block/returns/inserted on each line.
    #[arg(value_name = "LOG|MANIFEST")]
    usage: String,
    /// The versions: main files of schemas, what query-qmp-schema returned, or addresses of servers, such as unix:PATH.
    #[arg(long, required = true, num_args = 1.., value_name = "SCHEMA")]
    against: Vec<String>,
    /// The interface of the server with which the log was recorded. It tells which members were mandatory.
    #[arg(long, value_name = "SCHEMA")]
    recorded_on: Option<String>,
    /// Do not report what has this code.
    #[arg(long, value_name = "CODE")]
    allow: Vec<Code>,
    /// How answers are printed.
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: MessageFormat,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    files: LoadArgs,
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let configuration = args.config.read()?;
    let in_usage = |error: String| io::Error::other(format!("{}: {error}", args.usage));
    let bytes = read_input(Path::new(&args.usage)).map_err(|error| in_usage(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        in_usage(format!("line {line}: not UTF-8"))
    })?;
    // Mistakes in all schemas are printed.
    let mut versions = Vec::new();
    let mut are_good = true;
    for path in args.against.iter().chain(&args.recorded_on) {
        let version = read(path, &configuration, &args.files)?;
        are_good &= version.is_some();
        versions.extend(version);
    }
    if !are_good {
        return Ok(ExitCode::FAILURE);
    }
    let recorded = args.recorded_on.as_ref().and_then(|_| versions.pop());
    let interfaces: Vec<_> = versions.iter().map(|version| &version.interface).collect();
    let recorded = recorded.as_ref().map(|recorded| &recorded.interface);
    let answers = judge(text, &interfaces, recorded);
    let answers = answers.map_err(|error| in_usage(error.to_string()))?;
    let mut out = console::coloured_stdout()?;
    let mut breaks = false;
    for (version, answer) in std::iter::zip(&versions, answers) {
        let answer = answer.without(&args.allow);
        breaks |= answer.verdict == Verdict::Breaks;
        out.write_all(render(&answer, version, args).as_bytes())?;
    }
    out.flush()?;
    Ok(match breaks {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The verdict, and what it comes of.
fn render(answer: &Answer, version: &Input<'_>, args: &Args) -> String {
    let (path, verdict) = (version.path, answer.verdict.as_str());
    let mut text = match args.message_format {
        MessageFormat::Json => {
            let (n_commands, n_events) = (answer.n_commands, answer.n_events);
            let object = json!({
                "schema": path, "verdict": verdict, "commands": n_commands, "events": n_events,
            });
            format!("{object}\n")
        }
        MessageFormat::Human | MessageFormat::Short => {
            let plural = |n: usize, word: &str| match n {
                1 => format!("1 {word}"),
                n => format!("{n} {word}s"),
            };
            let commands = plural(answer.n_commands, "command");
            let events = plural(answer.n_events, "event");
            format!("{path}: {verdict} ({commands}, {events})\n")
        }
    };
    for change in &answer.changes {
        text.push_str(&render_change(change, version, args));
    }
    if args.message_format == MessageFormat::Human {
        text.push('\n');
    }
    text
}

fn render_change(change: &Change, version: &Input<'_>, args: &Args) -> String {
    let sources = &*version.sources;
    let place = change.line.map(|line| format!("{}:{line}", args.usage));
    let diagnostic = &Diagnostic {
        note: place.as_ref().map(|place| format!("used at {place}")),
        ..change.diagnostic.clone()
    };
    match args.message_format {
        MessageFormat::Human => {
            let text = render_human(diagnostic, sources, true);
            format!("\n{}\n", text.trim_end())
        }
        MessageFormat::Short => render_short_change(diagnostic, version),
        MessageFormat::Json => {
            let text = render_json(diagnostic, sources);
            let Ok(Value::Object(mut object)) = serde_json::from_str(&text) else {
                return text;
            };
            object.insert("schema".to_owned(), json!(version.path));
            object.insert("line".to_owned(), json!(change.line));
            format!("{}\n", Value::Object(object))
        }
    }
}
