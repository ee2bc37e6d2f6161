//! A running `iothreadd` and its clients, for tests whose failures are panics.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::Qmp;

pub(crate) use tests::{PATIENCE, eventually, send_with};

/// The program.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_iothreadd"))
}

/// Runs the program with this input until it ends.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = program()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // What comes out may be more than a pipe takes before all has gone in.
    let writer = std::thread::spawn(move || {
        // A program that does not start does not read either.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.lines().any(tests::panics::is_told_by), "{said}");
    output
}

/// The JSON values of a text, one after the other.
pub(crate) fn values(text: &[u8]) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    values.collect::<Result<_, _>>().unwrap()
}

/// Sends a message over and over until the other side stops reading, which it has to before it has taken so many of them.
/// Returns how many it was sent.
#[track_caller]
pub(crate) fn send_without_reading(
    stream: &mut UnixStream,
    message: &[u8],
    too_many: usize,
) -> usize {
    let many = message.repeat(1000);
    let mut n_bytes = 0;
    // However long this is, what comes after it holds; only a side that is slow is told from one that has stopped by it.
    stream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while let Ok(count) = stream.write(&many[n_bytes % message.len()..]) {
        n_bytes += count;
        assert!(n_bytes < too_many * message.len(), "it takes all there is");
    }
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let n_left = n_bytes.next_multiple_of(message.len()) - n_bytes;
    let rest = message[message.len() - n_left..].to_vec();
    let mut writer = stream.try_clone().unwrap();
    // There is room for it once the caller reads.
    std::thread::spawn(move || writer.write_all(&rest));
    (n_bytes + n_left) / message.len()
}

/// A server in a folder of its own, killed when dropped.
pub(crate) struct Server {
    server: tests::Server,
}

impl Server {
    /// Starts a server with these arguments beside `--qmp`, and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// As `start`, in a folder that exists already.
    pub(crate) fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(arguments);
        Self::start_as(command, folder)
    }

    /// As `start_in`, with a command to which `--qmp` is added.
    pub(crate) fn start_as(mut command: Command, folder: tempfile::TempDir) -> Self {
        let started = tests::Server::start_in(folder, |socket| {
            // Options are carried out in their order, so the others are by the time this one is.
            command
                .arg("--qmp")
                .arg(format!("unix:{}", socket.display()));
            command
        });
        Self {
            server: started.unwrap(),
        }
    }

    /// For tests whose failures are errors.
    pub(crate) fn into_inner(self) -> tests::Server {
        self.server
    }

    pub(crate) fn id(&self) -> u32 {
        self.server.process_id()
    }

    /// The lines that it has written to its standard error so far.
    pub(crate) fn said(&mut self) -> Vec<String> {
        self.server.said()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.server.folder()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket().to_owned()
    }

    /// A session that is past negotiation.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(&self.socket());
        client.execute("qmp_capabilities", json!({}));
        client
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let signal = match name {
            "INT" => Signal::INT,
            "HUP" => Signal::HUP,
            _ => Signal::TERM,
        };
        self.server.signal(signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.server.wait_for_status().unwrap()
    }
}

/// One QMP session.
pub(crate) struct Client {
    qmp: Qmp,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Self {
        Self {
            qmp: Qmp::connect(path).unwrap(),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.qmp.send(text.as_bytes()).unwrap();
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.qmp.stream()
    }

    /// The next message; `None` once the server has hung up.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        self.qmp.next_message().unwrap()
    }

    /// All that still comes.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        self.qmp.rest().unwrap()
    }

    /// The next reply; events that come before are kept.
    pub(crate) fn reply(&mut self) -> Value {
        self.qmp.reply().unwrap()
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Value {
        self.qmp.event().unwrap()
    }

    /// The whole reply to a command.
    pub(crate) fn exchange(&mut self, command: &str, arguments: Value) -> Value {
        self.qmp.exchange(command, &arguments).unwrap()
    }

    /// The whole reply to a command that comes with a descriptor.
    pub(crate) fn exchange_with(
        &mut self,
        command: &str,
        arguments: Value,
        descriptor: &impl AsFd,
    ) -> Value {
        let reply = self.qmp.exchange_with(command, &arguments, descriptor);
        reply.unwrap()
    }

    /// What a command that succeeds returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Value {
        self.qmp.execute(command, arguments).unwrap()
    }

    /// The text that a command fails with.
    pub(crate) fn error(&mut self, command: &str, arguments: Value) -> String {
        self.qmp.refusal(command, &arguments).unwrap()
    }

    /// Who holds an IOThread.
    pub(crate) fn holders(&mut self, thread: &str) -> Vec<Value> {
        let threads = self.execute("query-iothreads", json!({}));
        let threads = threads.as_array().unwrap();
        let thread = threads.iter().find(|it| it["id"] == thread).unwrap();
        thread["holders"].as_array().unwrap().clone()
    }

    pub(crate) fn add_node(&mut self, name: &str) {
        let node = json!({"driver": "null-co", "node-name": name});
        self.execute("blockdev-add", node);
    }
}
