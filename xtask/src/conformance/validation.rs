//! Malformed commands through the dispatcher that is generated from a schema.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use qapi_gen::backend::rust::Options;
use qapi_gen::ir::Configuration;
use serde_json::Value;
use serde_json::value::RawValue;
use tests::generated::{Crate, Module, feed};

use super::Count;

/// One line of a recording.
#[derive(serde::Deserialize)]
struct Recording<'a> {
    /// As it was sent: a number must not lose digits.
    #[serde(borrow)]
    request: &'a RawValue,
    reply: Value,
}

/// The program around the generated code; its commands have no handlers.
const PROGRAM: &str = include_str!("../../../tests/programs/replies.rs");

pub(super) fn run(
    schema: &Path,
    configuration: &Configuration,
    file: &Path,
    count: &mut Count,
) -> Result<()> {
    let text = super::read(file)?;
    let mut recordings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let recording: Recording<'_> = serde_json::from_str(line)
            .with_context(|| format!("{}:{}", file.display(), index + 1))?;
        recordings.push((index + 1, recording));
    }
    let options = Options::new()
        .configuration(configuration.clone())
        .docs(false)
        .partial(true);
    let program = Crate {
        name: "validation",
        modules: vec![Module::generate("qapi", schema, options)?],
        files: vec![("main.rs", PROGRAM.to_owned())],
        ..Crate::default()
    };
    let program = program.write()?.build()?;
    let requests = recordings.iter().map(|(_, recording)| recording.request);
    let replies = play(&program, requests)?;
    if replies.len() != recordings.len() {
        bail!("{} replies to {} requests", replies.len(), recordings.len());
    }
    for ((line, recording), reply) in recordings.iter().zip(&replies) {
        let is_equal = if recording.reply.get("return").is_some() {
            is_accepted(reply)
        } else {
            *reply == recording.reply
        };
        count.take((!is_equal).then(|| {
            format!(
                "line {line}: {}\n  expected {}\n  received {reply}",
                recording.request, recording.reply
            )
        }));
    }
    Ok(())
}

/// Whether the arguments fit: the command has run, or would have if it had a handler.
fn is_accepted(reply: &Value) -> bool {
    let unsupported = qapi_runtime::Error::unsupported();
    reply.get("return").is_some() || reply["error"]["desc"] == unsupported.desc
}

/// The reply to each request.
fn play<'a>(program: &Path, requests: impl Iterator<Item = &'a RawValue>) -> Result<Vec<Value>> {
    let mut input = String::new();
    for request in requests {
        // On one line, whatever the recording's layout is: strings have no raw line ends.
        input.push_str(&request.get().replace(['\n', '\r'], " "));
        input.push('\n');
    }
    let text = feed(&mut Command::new(program), &input)?;
    let replies = text.lines().map(|line| {
        let line = if line.is_empty() { "null" } else { line };
        serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
    });
    replies.collect()
}
