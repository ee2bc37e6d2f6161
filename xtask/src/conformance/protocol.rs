//! Sessions of the reference played against iothreadd.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use qapi_runtime::Value;
use qapi_runtime::json::{Document, Limits, Parsed, Parser};

use super::Count;
use crate::process::IOTHREADD;

pub(super) fn run(file: &Path, count: &mut Count) -> Result<()> {
    let iothreadd = IOTHREADD.build()?;
    for recording in recordings(file)? {
        let received = play(&iothreadd, &recording.sent).with_context(|| recording.name.clone())?;
        count.take(recording.differs_from(&received));
    }
    Ok(())
}

/// The sessions of a file.
pub(crate) fn recordings(file: &Path) -> Result<Vec<Recording>> {
    let text = super::read(file)?;
    let recordings = text.lines().enumerate().map(|(index, line)| {
        let place = || format!("{}:{}", file.display(), index + 1);
        Recording::read(line).with_context(place)
    });
    recordings.collect()
}

/// One session.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<Value>,
}

impl Recording {
    fn read(line: &str) -> Result<Self> {
        let document =
            Document::parse(line.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
        let recording = document.root();
        let name = recording.get("name").and_then(|name| name.as_str());
        let mut texts = [String::new(), String::new()];
        for (member, text) in ["send", "recv"].into_iter().zip(&mut texts) {
            let parts = recording
                .get(member)
                .with_context(|| format!("no member '{member}'"))?;
            for part in parts.elements() {
                text.push_str(part.as_str().context("a part is not a string")?);
            }
        }
        let [sent, received] = texts;
        // Every character stands for a byte.
        let byte = |ch: char| u8::try_from(u32::from(ch)).context("a character above 255");
        Ok(Self {
            name: name.unwrap_or("unnamed").to_owned(),
            sent: sent.chars().map(byte).collect::<Result<_>>()?,
            received: messages(received.as_bytes())?,
        })
    }

    /// The first message that differs, if one does.
    pub(crate) fn differs_from(&self, received: &[Value]) -> Option<String> {
        if received == self.received {
            return None;
        }
        let n_equal = received
            .iter()
            .zip(&self.received)
            .take_while(|(left, right)| left == right)
            .count();
        let show = |messages: &[Value]| match messages.get(n_equal) {
            Some(message) => message.to_string(),
            None => "nothing".to_owned(),
        };
        Some(format!(
            "{}, message {}:\n  expected {}\n  received {}",
            self.name,
            n_equal + 1,
            show(&self.received),
            show(received)
        ))
    }
}

/// What the server answers, without its greeting.
pub(crate) fn play(iothreadd: &Path, sent: &[u8]) -> Result<Vec<Value>> {
    let mut child = Command::new(iothreadd)
        .args(["--qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start iothreadd")?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let output = thread::scope(|scope| {
        // The pipe is closed after it. If the server ends early, that shows in what comes back.
        scope.spawn(move || {
            let _ = stdin.write_all(sent);
        });
        child.wait_with_output()
    });
    let output = output.context("cannot read what iothreadd answers")?;
    if !output.status.success() {
        bail!("iothreadd ended with {}", output.status);
    }
    let mut received = messages(&output.stdout)?;
    if received
        .first()
        .is_none_or(|first| first.get("QMP").is_none())
    {
        bail!("iothreadd did not greet");
    }
    received.remove(0);
    Ok(received)
}

/// The messages of a text without their timestamps.
fn messages(mut text: &[u8]) -> Result<Vec<Value>> {
    let mut parser = Parser::new(Limits::REPLY);
    let mut messages = Vec::new();
    loop {
        match parser.feed(&mut text) {
            Parsed::Value => {
                let mut message = parser.document().root().to_value();
                if let Value::Object(members) = &mut message {
                    members.remove("timestamp");
                }
                messages.push(message);
            }
            Parsed::Incomplete => return Ok(messages),
            Parsed::Error(error) => bail!("{error}"),
        }
    }
}
