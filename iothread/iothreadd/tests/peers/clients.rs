//! Foreign QMP clients against `iothreadd`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Server, Suite, Tool};

use crate::script::{self, Step};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .with("qemu-qmp", Tool::QemuQmp, qemu_qmp)
        .with("qemu-qmp-script", Tool::QemuQmp, qemu_qmp_script)
        .with("qmp-shell", Tool::QemuQmp, qmp_shell)
        .with("qapi-rs", Tool::QapiRs, qapi_rs)
        .with("socat", Tool::Program("socat"), socat)
        .with("nc", Tool::Program("nc.openbsd"), nc)
}

/// The client library of QEMU's own tools.
fn qemu_qmp(python: &Path) -> Result<(), Failed> {
    let daemon =
        Server::start_iothreadd(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/qemu_qmp.py");
    let output = Command::new(python)
        .arg(script)
        .arg(daemon.socket())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {stderr}", output.status).into())
}

/// A server for the script, and the script for the server.
fn prepare() -> Result<(Server, Vec<Step>), Failed> {
    let server = Server::start_iothreadd(&["--object", "iothread,id=io0"]);
    let steps = script::steps(server.folder())?;
    Ok((server, steps))
}

/// A client that reads lines and prints lines.
struct LineClient {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it says on its standard error stream, until somebody has read it.
    errors: Option<File>,
}

impl LineClient {
    fn start(command: &mut Command) -> Result<Self, Failed> {
        let errors = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        Ok(Self {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
            errors: Some(errors),
        })
    }

    fn send(&mut self, line: &str) -> Result<(), Failed> {
        let input = self.input.as_mut().ok_or("the pipe is closed")?;
        Ok(input.write_all(format!("{line}\n").as_bytes())?)
    }

    /// The next line; nothing at the end.
    fn line(&mut self) -> Result<Option<String>, Failed> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line)?;
        Ok((count > 0).then_some(line))
    }

    /// The next line as a message.
    fn message(&mut self) -> Result<Value, Failed> {
        let line = self.line()?.ok_or("the client has ended")?;
        Ok(serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?)
    }

    /// The messages until the client ends.
    fn rest(&mut self) -> Result<Vec<Value>, Failed> {
        let mut messages = Vec::new();
        while let Some(line) = self.line()? {
            messages.push(serde_json::from_str(&line)?);
        }
        Ok(messages)
    }

    /// Waits for the client's end, and takes what it has said of errors.
    fn end(mut self) -> Result<(ExitStatus, String), Failed> {
        self.input = None;
        let status = self.child.wait()?;
        Ok((status, self.errors()?))
    }

    /// Waits for the client's end, which must be a good one: whatever it has printed, it may have failed after that.
    fn finish(self) -> Result<(), Failed> {
        let (status, said) = self.end()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the client ended badly: {status}\n{said}").into()),
        }
    }

    fn errors(&mut self) -> std::io::Result<String> {
        let mut said = String::new();
        if let Some(mut errors) = self.errors.take() {
            // The client has moved the same place along.
            errors.rewind()?;
            errors.read_to_string(&mut said)?;
        }
        Ok(said)
    }
}

impl Drop for LineClient {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Why a test fails in the middle. What is no text is not for people.
        eprint!("{}", self.errors().unwrap_or_default());
    }
}

/// A client that is given all steps at once and prints what comes of them.
fn run_script(command: &mut Command, dropped: &[&str]) -> Result<(), Failed> {
    let (mut server, steps) = prepare()?;
    let mut client = LineClient::start(command.arg(server.socket()))?;
    for step in &steps {
        client.send(&step.request.to_string())?;
    }
    // Nothing more is asked for.
    client.input = None;
    let received = client.rest()?;
    script::check(&steps, received, dropped)?;
    client.finish()?;
    Ok(server.wait()?)
}

/// The same library, the whole script, and real descriptors.
fn qemu_qmp_script(python: &Path) -> Result<(), Failed> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/qemu_qmp_script.py"
    );
    run_script(Command::new(python).arg(script), &[])
}

/// The crate of that name, with its own types for commands, results and events.
fn qapi_rs(client: &Path) -> Result<(), Failed> {
    // The crate's schema is QEMU's.
    run_script(&mut Command::new(client), &["holders"])
}

/// The shell of QEMU's own tools: a language of its own for commands, replies after prompts, events
/// when it is asked for them.
fn qmp_shell(python: &Path) -> Result<(), Failed> {
    const PROMPT: &str = "(QEMU) ";
    let (mut server, mut steps) = prepare()?;
    if let Some(last) = steps.last_mut() {
        // It comes with the end of the connection, where the shell prints no events any more.
        last.events.clear();
    }
    let shell = python.with_file_name("qmp-shell");
    let mut command = Command::new(shell);
    command.arg(server.socket()).env("PYTHONUNBUFFERED", "1");
    let mut client = LineClient::start(&mut command)?;
    let mut received = Vec::new();
    let is_event = |line: &str| line.contains("'event'");
    for step in &steps {
        let arguments = step.arguments().as_object();
        let has_no_form = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.contains([' ', '"', '\'']),
            _ => false,
        };
        if arguments.is_some_and(|members| members.values().any(has_no_form)) {
            received.push(json!({"unsendable": "the shell has no form for it"}));
            continue;
        }
        let mut line = step.command().to_owned();
        for (name, value) in arguments.into_iter().flatten() {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            line.push_str(&format!(" {name}={value}"));
        }
        if step.command() == "quit" {
            // An empty line asks for the events.
            client.send("")?;
        }
        client.send(&line)?;
        loop {
            let line = client.line()?.ok_or("qmp-shell has ended")?;
            let mut text = line.trim();
            while let Some(rest) = text.strip_prefix(PROMPT.trim_end()) {
                text = rest.trim_start();
            }
            if is_event(text) {
                received.push(event_of(text)?);
            } else if text.starts_with('{') {
                received.push(serde_json::from_str(text)?);
                break;
            }
        }
    }
    script::check(&steps, received, &[])?;
    // A server that is gone before the shell is an error to the shell, which does not look what it had sent.
    let (status, said) = client.end()?;
    if !status.success() && !said.trim_end().ends_with("EOFError") {
        return Err(format!("qmp-shell ended badly: {status}\n{said}").into());
    }
    Ok(server.wait()?)
}

/// The shell prints events as Python does.
fn event_of(text: &str) -> Result<Value, Failed> {
    let name = text
        .split("'event': '")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    Ok(json!({"event": name.ok_or("an event without a name")?}))
}

/// Lines over a tool that knows nothing of QMP, one after the other.
fn line_by_line(command: &mut Command, mut server: Server, steps: &[Step]) -> Result<(), Failed> {
    let mut client = LineClient::start(command)?;
    let greeting = client.message()?;
    if greeting.get("QMP").is_none() {
        return Err(format!("no greeting: {greeting}").into());
    }
    client.send("{'execute': 'qmp_capabilities'}")?;
    if client.message()? != json!({"return": {}}) {
        return Err("no negotiation".into());
    }
    let mut received = Vec::new();
    for step in steps {
        client.send(&step.request.to_string())?;
        loop {
            let message = client.message()?;
            let is_event = message.get("event").is_some();
            received.push(message);
            if !is_event {
                break;
            }
        }
    }
    received.extend(client.rest()?);
    script::check(steps, received, &[])?;
    client.finish()?;
    Ok(server.wait()?)
}

fn socat(program: &Path) -> Result<(), Failed> {
    let (server, steps) = prepare()?;
    let address = format!("UNIX-CONNECT:{}", server.socket().display());
    line_by_line(Command::new(program).arg("-").arg(address), server, &steps)
}

fn nc(program: &Path) -> Result<(), Failed> {
    let (server, steps) = prepare()?;
    line_by_line(
        Command::new(program).arg("-U").arg(server.socket()),
        server,
        &steps,
    )
}
