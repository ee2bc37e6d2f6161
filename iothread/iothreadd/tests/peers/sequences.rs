//! Sequences of commands with what the program answers: each file in `tests/sequences` is a test. Those that QEMU 10 answers
//! in the same way are given to it, too.
//!
//! A file has, line by line:
//!
//! - `# TEXT`: a remark; the first one states the rule. `# As QEMU 10.` says that QEMU 10 is asked, too.
//! - `--OPTION VALUE`: an option of the command line.
//! - `> COMMAND ARGUMENTS`, `>fd COMMAND ARGUMENTS`: a command, the second with a descriptor beside it.
//! - `$ LINE`: a line of the human monitor.
//! - After a command: the value that it returns, in JSON, where `"*"` is anything, an object may have more members if one
//!   of the pattern's is called `...`, and a list may have more elements if one of the pattern's is `"..."`; or
//!   `! TEXT`, its error, or `!CLASS TEXT`, if that has a class of its own.
//! - After a line: what is printed, each line after `| `.
//! - `exits TEXT`, in place of commands: what the program says that does not start.
//!
//! `@` stands for the folder of the server, which has a file `image` of 64 KiB.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, iothreadd, replace};

/// Marks those that QEMU 10 is asked, too.
const AS_QEMU: &str = "# As QEMU 10.";

pub(crate) fn add(mut suite: Suite) -> Suite {
    for path in files() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let has_peer = text.lines().any(|line| line == AS_QEMU);
        let (name, of_qemu) = (format!("sequence-{stem}"), text.clone());
        suite = suite.always(&name, move || Ok(of_iothreadd(&text)?));
        if has_peer {
            let name = format!("{name}-as-qemu-10");
            suite = suite.with(&name, Tool::QemuTen, move |qemu| as_qemu(qemu, &of_qemu));
        }
    }
    suite
}

fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sequences");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no sequences");
    files
}

fn of_iothreadd(text: &str) -> Result<()> {
    let sequence = Sequence::read(text)?;
    let options = sequence.options();
    match &sequence.refusal {
        Some(refusal) => {
            let output = Command::new(iothreadd())
                .args(&options)
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8(output.stderr)?;
            ensure!(
                !output.status.success() && said == format!("iothreadd: {refusal}\n"),
                "{}: {said}\n  not {refusal}",
                output.status
            );
            Ok(())
        }
        None => sequence.play(&Server::start_iothreadd(&options)),
    }
}

fn as_qemu(qemu: &Path, text: &str) -> Result<(), Failed> {
    let sequence = Sequence::read(text)?;
    let mut options = vec!["-machine", "pc", "-accel", "tcg", "-S"];
    options.extend(sequence.options());
    match (Server::start_qemu(qemu, &options), &sequence.refusal) {
        (Ok(server), None) => Ok(sequence.play(&server)?),
        (Err(error), Some(refusal)) => {
            let said = error.to_string();
            match said.contains(refusal) {
                true => Ok(()),
                false => Err(format!("{said}\n  not {refusal}").into()),
            }
        }
        (Err(error), None) => Err(error.into()),
        (Ok(_), Some(refusal)) => Err(format!("it starts, not {refusal}").into()),
    }
}

/// A file.
struct Sequence<'a> {
    options: Vec<(&'a str, &'a str)>,
    refusal: Option<String>,
    steps: Vec<Step<'a>>,
}

/// A command and its answer.
struct Step<'a> {
    line: &'a str,
    command: &'a str,
    arguments: Value,
    brings_descriptor: bool,
    expected: Answer,
}

enum Answer {
    Value(Value),
    Error { class: String, desc: String },
}

impl<'a> Sequence<'a> {
    fn read(text: &'a str) -> Result<Self> {
        let mut sequence = Self {
            options: Vec::new(),
            refusal: None,
            steps: Vec::new(),
        };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with("--") {
                let option = line.split_once(' ').context("an option has a value")?;
                sequence.options.push(option);
                continue;
            }
            if let Some(refusal) = line.strip_prefix("exits ") {
                sequence.refusal = Some(refusal.replace("\\n", "\n"));
                continue;
            }
            let mut answer = Vec::new();
            while let Some(line) = lines.next_if(|line| !begins_step(line)) {
                answer.push(line);
            }
            let step = Step::read(line, &answer).with_context(|| line.to_owned())?;
            sequence.steps.push(step);
        }
        Ok(sequence)
    }

    fn options(&self) -> Vec<&'a str> {
        let options = self.options.iter();
        options.flat_map(|(name, value)| [*name, *value]).collect()
    }

    fn play(&self, server: &Server) -> Result<()> {
        let image = server.folder().join("image");
        std::fs::write(&image, [0; 65536])?;
        let folder = server.folder().display().to_string();
        let mut qmp = Qmp::open(server.socket())?;
        for step in &self.steps {
            let arguments = replace(&step.arguments, "@", &folder);
            let reply = match step.brings_descriptor {
                true => {
                    let file = std::fs::File::open(&image)?;
                    qmp.exchange_with(step.command, &arguments, &file)?
                }
                false => qmp.exchange(step.command, &arguments)?,
            };
            let reply = replace(&reply, &folder, "@");
            ensure!(step.expected.is(&reply), "{}\n  {reply}", step.line);
        }
        Ok(())
    }
}

fn begins_step(line: &str) -> bool {
    line.starts_with('>') || line.starts_with('$')
}

impl<'a> Step<'a> {
    fn read(line: &'a str, answer: &[&str]) -> Result<Self> {
        let answer = answer.iter().filter(|line| !line.starts_with('#'));
        let answer: Vec<&str> = answer.copied().collect();
        if let Some(asked) = line.strip_prefix("$ ") {
            let printed = answer.iter().filter(|line| !line.is_empty());
            let printed = printed.map(|line| match line.strip_prefix('|') {
                Some(text) => Ok(format!("{}\r\n", text.strip_prefix(' ').unwrap_or(text))),
                None => bail!("not printed: {line}"),
            });
            return Ok(Self {
                line,
                command: "human-monitor-command",
                arguments: json!({"command-line": asked}),
                brings_descriptor: false,
                expected: Answer::Value(Value::String(printed.collect::<Result<_>>()?)),
            });
        }
        let (mark, command) = line.split_once(' ').context("no command")?;
        let (command, arguments) = command.split_once(' ').unwrap_or((command, "{}"));
        let answer = answer.join("\n");
        let expected = match answer.trim().strip_prefix('!') {
            Some(error) => {
                let (class, desc) = error.split_once(' ').context("no text")?;
                let class = if class.is_empty() {
                    "GenericError"
                } else {
                    class
                };
                Answer::Error {
                    class: class.to_owned(),
                    desc: desc.to_owned(),
                }
            }
            None => Answer::Value(serde_json::from_str(&answer)?),
        };
        Ok(Self {
            line,
            command,
            arguments: serde_json::from_str(arguments)?,
            brings_descriptor: mark == ">fd",
            expected,
        })
    }
}

impl Answer {
    fn is(&self, reply: &Value) -> bool {
        match self {
            Self::Value(pattern) => reply.get("return").is_some_and(|it| matches(pattern, it)),
            Self::Error { class, desc } => reply["error"] == json!({"class": class, "desc": desc}),
        }
    }
}

/// Whether a value is as the pattern says.
fn matches(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(pattern), Value::Object(value)) => {
            let may_have_more = pattern.contains_key("...");
            let mut listed = pattern.iter().filter(|(name, _)| *name != "...");
            listed.all(|(name, pattern)| value.get(name).is_some_and(|it| matches(pattern, it)))
                && (may_have_more || pattern.len() == value.len())
        }
        (Value::Array(pattern), Value::Array(value)) => {
            if pattern.iter().any(|it| it == "...") {
                let mut listed = pattern.iter().filter(|it| *it != "...");
                return listed.all(|pattern| value.iter().any(|it| matches(pattern, it)));
            }
            let mut pairs = pattern.iter().zip(value);
            pattern.len() == value.len() && pairs.all(|(pattern, it)| matches(pattern, it))
        }
        _ => pattern == value,
    }
}
