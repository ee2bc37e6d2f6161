//! A running `iothreadd` and its clients.

use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

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
    output
}

/// The JSON values of a text, one after the other.
pub(crate) fn values(text: &[u8]) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    values.collect::<Result<_, _>>().unwrap()
}

/// A server in a folder of its own, killed when dropped.
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

/// Waits until something is so, at most for [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it does not come to pass");
        std::thread::yield_now();
    }
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

/// Sends bytes with a descriptor beside them.
pub(crate) fn send_with(stream: &UnixStream, bytes: &[u8], descriptor: &impl AsFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [IoSlice::new(bytes)];
    sendmsg(stream, &bytes, &mut ancillary, SendFlags::empty()).unwrap();
}

impl Server {
    /// Starts a server with these arguments beside `--qmp`, and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// As `start`, in a folder that exists already.
    pub(crate) fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let socket = folder.path().join("qmp");
        // Options are carried out in their order, so the others are by the time this one is.
        let child = program()
            .args(arguments)
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, folder };
        while UnixStream::connect(&socket).is_err() {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "it does not start"
            );
            std::thread::yield_now();
        }
        server
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp")
    }

    /// A session that is past negotiation.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(&self.socket());
        client.execute("qmp_capabilities", json!({}));
        client
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap();
        let signal = match name {
            "INT" => rustix::process::Signal::INT,
            "HUP" => rustix::process::Signal::HUP,
            _ => rustix::process::Signal::TERM,
        };
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One QMP session.
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    pub(crate) greeting: Value,
    events: Vec<Value>,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            reader: BufReader::new(stream),
            greeting: Value::Null,
            events: Vec::new(),
        };
        client.greeting = client.receive().unwrap();
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    /// The next message; `None` once the server has hung up.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// All that still comes.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        values(&rest)
    }

    /// The next reply; events that come before are kept.
    pub(crate) fn reply(&mut self) -> Value {
        loop {
            let message = self.receive().expect("a reply");
            if message.get("event").is_none() {
                return message;
            }
            self.events.push(message);
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Value {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        let message = self.receive().expect("an event");
        assert!(message.get("event").is_some(), "{message}");
        message
    }

    /// The whole reply to a command.
    pub(crate) fn exchange(&mut self, command: &str, arguments: Value) -> Value {
        let request = json!({"execute": command, "arguments": arguments});
        self.send(&request.to_string());
        self.reply()
    }

    /// The whole reply to a command that comes with a descriptor.
    pub(crate) fn exchange_with(
        &mut self,
        command: &str,
        arguments: Value,
        descriptor: &impl AsFd,
    ) -> Value {
        let request = json!({"execute": command, "arguments": arguments}).to_string();
        send_with(self.stream(), request.as_bytes(), descriptor);
        self.reply()
    }

    /// What a command that succeeds returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Value {
        let mut reply = self.exchange(command, arguments);
        match reply.get_mut("return") {
            Some(value) => value.take(),
            None => panic!("{command}: {reply}"),
        }
    }

    /// The text that a command fails with.
    pub(crate) fn error(&mut self, command: &str, arguments: Value) -> String {
        let reply = self.exchange(command, arguments);
        match reply["error"]["desc"].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("{command}: {reply}"),
        }
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
