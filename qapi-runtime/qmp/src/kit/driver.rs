//! The program that drives a client.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::system;
use crate::thread::not_started;

/// The longest line of a driver.
const MAX_LINE: u64 = 1 << 20;

/// A driver that runs. Dropping it ends it.
pub(super) struct Driver {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    is_over: bool,
}

impl Driver {
    pub(super) fn start(command: &str) -> io::Result<Self> {
        let mut child = system::shell(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            // It ends with the output, or when nobody wants more.
            thread::Builder::new()
                .name("qmp-driver".to_owned())
                .spawn(move || read_lines(output, |line| sender.send(line).is_ok()))
                .map_err(not_started)?;
        }
        Ok(Self {
            child,
            input,
            lines,
            is_over: false,
        })
    }

    /// Takes a step; what the driver tells of it, for which it may take so much longer than the step.
    pub(super) fn take(&mut self, step: &Value, patience: Duration) -> Value {
        let within = Duration::try_from_secs_f64(step["within"].as_f64().unwrap_or(0.0));
        let line = format!("{step}\n");
        // One that has ended tells so below.
        let _ = self
            .input
            .as_mut()
            .map(|input| input.write_all(line.as_bytes()));
        match self
            .lines
            .recv_timeout(within.unwrap_or_default() + patience)
        {
            Ok(line) => serde_json::from_str(&line)
                .unwrap_or_else(|_| json!({"outcome": "unreadable", "line": line.trim_end()})),
            Err(RecvTimeoutError::Timeout) => json!({"outcome": "hung"}),
            Err(RecvTimeoutError::Disconnected) => self.ended(),
        }
    }

    fn ended(&mut self) -> Value {
        self.is_over = true;
        match self.child.wait() {
            Ok(status) => json!({"outcome": "ended", "status": status.to_string()}),
            Err(error) => json!({"outcome": "ended", "status": error.to_string()}),
        }
    }
}

fn read_lines(output: ChildStdout, mut take: impl FnMut(String) -> bool) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if !take(String::from_utf8_lossy(&line).into_owned()) {
            return;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.input = None;
        if self.is_over {
            return;
        }
        system::end_all(&mut self.child);
        let _ = self.child.wait();
    }
}
