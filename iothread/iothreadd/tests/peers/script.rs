//! A script of commands for foreign clients: every command, every event, every kind of error.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// A command, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The command as it is sent: `execute`, and `arguments` if it has any.
    pub(crate) request: Value,
    expected: Value,
    /// The events that it causes, by their names.
    pub(crate) events: Vec<String>,
}

/// Reads `tests/clients/script.jsonl` for a server in `folder` whose IOThread is `io0`.
///
/// # Errors
///
/// The file is not what it should be.
pub(crate) fn steps(folder: &Path) -> Result<Vec<Step>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/script.jsonl");
    let folder = folder.to_str().context("the folder is not UTF-8")?;
    let text = std::fs::read_to_string(path)?.replace("FOLDER", folder);
    let steps = text.lines().map(|line| {
        let mut step: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let members = step.as_object_mut().context("no object")?;
        let events = members.remove("events").unwrap_or_else(|| json!([]));
        let expected = match (members.remove("return"), members.remove("error")) {
            (Some(value), None) => json!({"return": value}),
            (None, Some(error)) => json!({"error": {"class": error[0], "desc": error[1]}}),
            _ => bail!("either return or error: {line}"),
        };
        Ok(Step {
            expected,
            events: serde_json::from_value(events)?,
            request: step,
        })
    });
    steps.collect()
}

impl Step {
    /// The name of the command.
    #[must_use]
    pub(crate) fn command(&self) -> &str {
        self.request["execute"].as_str().unwrap_or_default()
    }

    /// The arguments, `null` where there are none.
    #[must_use]
    pub(crate) fn arguments(&self) -> &Value {
        &self.request["arguments"]
    }
}

/// Commands that QEMU has had for a shorter time than some client its types.
const NEWER_THAN_CLIENTS: [&str; 1] = ["blockdev-set-active"];

/// Checks all that a client has received for the steps: one reply each in their order, and the events,
/// wherever they stand. A client may have no form for some steps (`unsendable`), but sends every command that it can know,
/// and drops the members in `dropped`, which are ours alone, if it has types of its own.
///
/// # Errors
///
/// The first thing that is not as it should be.
pub(crate) fn check(steps: &[Step], received: Vec<Value>, dropped: &[&str]) -> Result<()> {
    let (events, replies): (Vec<Value>, Vec<Value>) = received
        .into_iter()
        .partition(|message| message.get("event").is_some());
    ensure!(
        replies.len() == steps.len(),
        "{} replies to {} commands; the last: {:?}",
        replies.len(),
        steps.len(),
        replies.last()
    );
    let mut known = HashSet::new();
    let mut sent = HashSet::new();
    for (step, reply) in steps.iter().zip(&replies) {
        if reply.get("unsendable").is_some() {
            continue;
        }
        sent.insert(step.command());
        if step.command() == "query-commands" {
            let commands = reply["return"].as_array().into_iter().flatten();
            known.extend(commands.filter_map(|it| Some(it["name"].as_str()?.to_owned())));
        }
        ensure!(
            matches(&step.expected, reply, dropped),
            "{}\n  expected {}\n  received {reply}",
            step.request,
            step.expected
        );
    }
    let expected: Vec<&str> = steps
        .iter()
        .flat_map(|step| step.events.iter().map(String::as_str))
        .collect();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|it| it["event"].as_str())
        .collect();
    ensure!(names == expected, "events {names:?}, not {expected:?}");
    for (step, reply) in steps.iter().zip(&replies) {
        known.remove(step.command());
        // Commands that do not exist, or not in QEMU, may be unknown to a client.
        let command = step.command();
        let may_lack = command.starts_with("x-")
            || command.starts_with("no-such")
            || NEWER_THAN_CLIENTS.contains(&command);
        ensure!(
            may_lack || sent.contains(step.command()),
            "{}: {reply}",
            step.request
        );
    }
    ensure!(known.is_empty(), "the script lacks {known:?}");
    Ok(())
}

/// Whether `value` has what the pattern has: `"*"` is anything, an object may have more members.
fn matches(pattern: &Value, value: &Value, dropped: &[&str]) -> bool {
    match (pattern, value) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(pattern), Value::Object(value)) => {
            pattern.iter().all(|(name, pattern)| match value.get(name) {
                Some(value) => matches(pattern, value, dropped),
                None => dropped.contains(&name.as_str()),
            })
        }
        (Value::Array(pattern), Value::Array(value)) => {
            pattern.len() == value.len()
                && pattern
                    .iter()
                    .zip(value)
                    .all(|(pattern, value)| matches(pattern, value, dropped))
        }
        _ => pattern == value,
    }
}
