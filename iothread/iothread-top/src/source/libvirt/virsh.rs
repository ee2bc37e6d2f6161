//! One virsh for all domains of a host, which is kept.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use qapi_runtime::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::system;

/// The most that a command may print: a domain has some hundred lines.
const MAX_ANSWER: usize = 16 << 20;

/// Why virsh did not do what it should.
#[derive(Debug)]
pub(crate) enum VirshError {
    /// It cannot be started, or is gone.
    Io(io::Error),
    /// It has no answer in time.
    TimedOut(Duration),
    /// It says why not.
    Refused(String),
}

impl std::fmt::Display for VirshError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "virsh: {error}"),
            Self::TimedOut(after) => write!(f, "virsh: no answer in {after:?}"),
            Self::Refused(text) => write!(f, "virsh: {text}"),
        }
    }
}

/// A virsh that is asked. Commands are asked one after the other; one that gets no answer costs that virsh.
pub(crate) struct Virsh {
    /// The host's libvirt; `None` is virsh's own choice.
    uri: Option<String>,
    /// Whether the monitors of domains may be asked, which taints them.
    pub(crate) uses_monitor: bool,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// It ends when this is dropped.
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
    n_asked: u64,
}

impl Virsh {
    pub(crate) fn new(uri: Option<String>, uses_monitor: bool) -> Self {
        Self {
            uri,
            uses_monitor,
            running: Mutex::new(None),
        }
    }

    /// What a command prints.
    ///
    /// # Errors
    ///
    /// See [`VirshError`].
    pub(crate) async fn ask(
        &self,
        command: &str,
        patience: Duration,
    ) -> Result<String, VirshError> {
        let mut place = self.running.lock().await;
        // It is put back when it has answered.
        let mut running = match place.take() {
            Some(running) => running,
            None => Running::start(self.uri.as_deref()).map_err(VirshError::Io)?,
        };
        let asked = tokio::time::timeout(patience, running.ask(command)).await;
        let answer = match asked {
            Ok(answer) => answer.map_err(VirshError::Io)?,
            Err(_) => return Err(VirshError::TimedOut(patience)),
        };
        *place = Some(running);
        let errors = answer.lines().filter_map(|it| it.strip_prefix("error: "));
        match errors.map(str::to_owned).collect::<Vec<_>>() {
            errors if errors.is_empty() => Ok(answer),
            errors => Err(VirshError::Refused(errors.join(" "))),
        }
    }

    /// The names of the domains that run.
    pub(crate) async fn domains(&self, patience: Duration) -> Result<Vec<String>, VirshError> {
        let answer = self.ask("list --uuid --name", patience).await?;
        let names = answer.lines().filter_map(|line| {
            let (uuid, name) = line.split_once(' ')?;
            is_uuid(uuid).then(|| name.trim().to_owned())
        });
        Ok(names.collect())
    }

    /// What a command of the domain's monitor returns; nothing if that refuses it.
    pub(crate) async fn monitor(
        &self,
        domain: &str,
        command: &Value,
        patience: Duration,
    ) -> Result<Option<Value>, VirshError> {
        let line = format!(
            "qemu-monitor-command {} {}",
            quoted(domain),
            quoted(&command.to_string())
        );
        let answer = self.ask(&line, patience).await?;
        let mut lines = answer.lines();
        let reply = lines.find_map(|line| {
            let reply: Value = serde_json::from_str(line).ok()?;
            reply.as_object()?;
            Some(reply)
        });
        let reply =
            reply.ok_or_else(|| VirshError::Refused("no reply of the monitor".to_owned()))?;
        Ok(reply.get("return").cloned())
    }
}

impl Running {
    fn start(uri: Option<&str>) -> io::Result<Self> {
        // What goes wrong is told in its place among the answers.
        let (output, theirs) = io::pipe()?;
        let mut command = Command::new("virsh");
        command.arg("--quiet");
        if let Some(uri) = uri {
            command.args(["--connect", uri]);
        }
        // Answers are in English, and nothing is drawn.
        let mut child = command
            .env("LC_ALL", "C")
            .env("TERM", "dumb")
            .env("INPUTRC", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(theirs.try_clone()?)
            .stderr(theirs)
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(Self {
            input: child.stdin.take().ok_or_else(gone)?,
            output: system::child_output(output)?,
            _child: child,
            n_asked: 0,
        })
    }

    /// virsh repeats what it reads and prompts, so the answer is told by what is printed before and after it.
    async fn ask(&mut self, command: &str) -> io::Result<String> {
        self.n_asked += 1;
        let (begin, end) = (
            format!("begin-{}", self.n_asked),
            format!("end-{}", self.n_asked),
        );
        let lines = format!("echo {begin}\n{command}\necho {end}\n");
        self.input.write_all(lines.as_bytes()).await?;
        self.input.flush().await?;
        let (begin, end) = (format!("\n{begin}"), format!("\n{end}"));
        let mut said = Vec::new();
        loop {
            if said.ends_with(b"# ")
                && let Some(answer) = between(&String::from_utf8_lossy(&said), &begin, &end)
            {
                return Ok(answer);
            }
            if said.len() > MAX_ANSWER {
                return Err(io::Error::other("it says too much"));
            }
            if self.output.read_buf(&mut said).await? == 0 {
                let said = String::from_utf8_lossy(&said);
                let last = said.lines().rfind(|it| !it.trim().is_empty());
                return Err(io::Error::other(last.unwrap_or("it ended").to_owned()));
            }
        }
    }
}

/// What is printed between two marks, if both are there. Where they are asked for, no line begins with them.
fn between(said: &str, begin: &str, end: &str) -> Option<String> {
    let after = said.find(begin)? + begin.len();
    let length = said[after..].find(end)?;
    Some(said[after..after + length].to_owned())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-')
}

/// A word of virsh's.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for ch in text.chars() {
        match ch {
            '"' | '\\' => quoted.extend(['\\', ch]),
            // It would end the command.
            '\n' | '\r' => quoted.push(' '),
            ch => quoted.push(ch),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_between_marks() {
        let said = "virsh # echo begin-1\nbegin-1virsh # list\n a\n b\n\nvirsh # echo end-1\nend-1virsh # ";
        assert_eq!(
            between(said, "\nbegin-1", "\nend-1").unwrap(),
            "virsh # list\n a\n b\n\nvirsh # echo end-1"
        );
        assert_eq!(
            between("virsh # echo begin-1\nbegin-1", "\nbegin-1", "\nend-1"),
            None
        );
        assert_eq!(quoted("a \"b\" \\c\nd"), r#""a \"b\" \\c d""#);
        assert!(is_uuid("c1bccfdf-241c-4859-90c7-9356bfbb1a17"));
        assert!(!is_uuid("error:"));
    }
}
