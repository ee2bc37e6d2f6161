//! The server against plain sockets.

mod ends;
mod events;
mod hooks;
mod strangers;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use qapi_runtime::budget::Budget;
use qapi_runtime::client::{Address, CallOptions, ConnectOptions};
use qapi_runtime::codegen::{Command, Handler, Table};
use qapi_runtime::descriptor;
use qapi_runtime::descriptor::inherited;
use qapi_runtime::dispatch::{BoxFuture, CommandInfo, Reply, Service};
use qapi_runtime::server::{Connection, ListenAddress, Notice, Server};
use qapi_runtime::session::{EventMessage, SessionConfig};
use qapi_runtime::visit::{CompatPolicy, Input, Output, Visit};
use qapi_runtime::{Error, Object, Value};
use tokio::io::AsyncWrite;
use tokio::sync::Semaphore;

/// The state of one session in these tests.
struct State {
    connection: Connection,
    gate: Arc<Semaphore>,
}

fn getfd(state: &State, input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Object::read(input)?;
    let descriptor = state
        .connection
        .descriptors()
        .take()
        .ok_or_else(|| Error::generic("No file descriptor supplied via SCM_RIGHTS"))?;
    std::fs::File::from(descriptor)
        .write_all(b"hello")
        .map_err(|error| Error::generic(error.to_string()))?;
    Ok(().write(output)?)
}

fn quit(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    state.connection.control().quit();
    Ok(().write(output)?)
}

fn panics(_: &State, _: &mut Input<'_>, _: &mut Output) -> Result<(), Error> {
    panic!("on purpose");
}

fn wait(state: Arc<State>, _: &mut Input<'_>) -> Result<BoxFuture, Error> {
    Ok(Box::pin(async move {
        let permit = state.gate.acquire().await;
        permit
            .map_err(|error| Error::generic(error.to_string()))?
            .forget();
        Ok(Reply::new(&"waited".to_owned(), CompatPolicy::ACCEPT)?)
    }))
}

fn name(_: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Ok(().write(output)?)
}

fn event(number: u64) -> EventMessage {
    let data = format!(r#"{{"number": {number}}}"#);
    EventMessage::new("X", Some(data.as_bytes()), SystemTime::UNIX_EPOCH)
}

/// The wire form of [`event`].
fn event_line(number: u64) -> String {
    String::from_utf8(event(number).as_bytes().to_vec()).unwrap()
}

/// Emits two events of the numbers that it is given.
fn emit_two(state: &State, input: &mut Input<'_>) -> Result<(), Error> {
    let first = Object::read(input)?.get("first").and_then(Value::as_u64);
    let first = first.ok_or_else(|| Error::generic("which numbers?"))?;
    state.connection.emit(event(first));
    state.connection.emit(event(first + 1));
    Ok(())
}

fn emit(state: &State, input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    emit_two(state, input)?;
    Ok(().write(output)?)
}

fn emit_and_fail(state: &State, input: &mut Input<'_>, _: &mut Output) -> Result<(), Error> {
    emit_two(state, input)?;
    Err(Error::generic("failed"))
}

fn emit_later(state: Arc<State>, input: &mut Input<'_>) -> Result<BoxFuture, Error> {
    let first = Object::read(input)?.get("first").and_then(Value::as_u64);
    let first = first.ok_or_else(|| Error::generic("which numbers?"))?;
    state.connection.emit(event(first));
    Ok(Box::pin(async move {
        tokio::task::yield_now().await;
        state.connection.emit(event(first + 1));
        Ok(Reply::empty())
    }))
}

/// Ends when it is told to, and counts that.
fn until_cancelled(state: Arc<State>, _: &mut Input<'_>) -> Result<BoxFuture, Error> {
    Ok(Box::pin(async move {
        state.connection.cancelled().await;
        state.gate.add_permits(1);
        Ok(Reply::new(&"cancelled".to_owned(), CompatPolicy::ACCEPT)?)
    }))
}

/// The same for a handler that is not a future.
fn ask_until_cancelled(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    tests::eventually(|| state.connection.is_cancelled());
    state.gate.add_permits(1);
    Ok("cancelled".to_owned().write(output)?)
}

const fn row(name: &'static str, call: Handler<State>) -> Command<State> {
    Command {
        info: CommandInfo::new(name),
        call,
    }
}

static COMMANDS: [Command<State>; 10] = [
    row("ask-until-cancelled", Handler::Sync(ask_until_cancelled)),
    row("emit", Handler::Sync(emit)),
    row("emit-and-fail", Handler::Sync(emit_and_fail)),
    row("emit-later", Handler::Async(emit_later)),
    row("getfd", Handler::Sync(getfd)),
    row("panics", Handler::Sync(panics)),
    row("query-name", Handler::Sync(name)),
    row("quit", Handler::Sync(quit)),
    row("until-cancelled", Handler::Async(until_cancelled)),
    row("wait", Handler::Async(wait)),
];

fn server(gate: &Arc<Semaphore>) -> Server {
    server_with(SessionConfig::default(), gate, |_| false)
}

fn server_with(
    config: SessionConfig,
    gate: &Arc<Semaphore>,
    runs_inline: fn(&CommandInfo) -> bool,
) -> Server {
    let gate = Arc::clone(gate);
    let make_service = move |connection: &Connection| {
        let state = State {
            connection: connection.clone(),
            gate: Arc::clone(&gate),
        };
        Arc::new(Table::new(&COMMANDS, Arc::new(state))) as Arc<dyn Service>
    };
    Server::with_inline(config, make_service, runs_inline)
}

struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    fn connect(path: &std::path::Path) -> Self {
        Self::connect_with(path, "")
    }

    fn connect_with(path: &std::path::Path, capabilities: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut client = Self {
            reader: BufReader::new(stream),
        };
        assert!(client.line().starts_with(r#"{"QMP": "#));
        client.send(&format!(
            r#"{{"execute": "qmp_capabilities", "arguments": {{"enable": [{capabilities}]}}}}"#
        ));
        assert_eq!(client.line(), r#"{"return": {}}"#);
        client
    }

    fn send(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends text with a descriptor beside it.
    fn send_with(&self, text: &str, descriptor: BorrowedFd<'_>) {
        let socket = self.reader.get_ref();
        let sent = descriptor::send(socket, text.as_bytes(), &[descriptor]).unwrap();
        assert_eq!(sent, text.len());
    }

    /// The next line, or nothing at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// Waits for something that comes about by itself.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    assert!(tests::comes_true(tests::PATIENCE, holds), "{what}");
}

#[test]
fn clients_are_served_apart() {
    let _expected = tests::panics::expect("on purpose");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let server = server(&gate);
    runtime
        .block_on(server.listen(&ListenAddress::unix_with_mode(&path, 0o600)))
        .unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut waiting = Client::connect(&path);
    waiting.send(r#"{"execute": "wait", "id": 1} {"execute": "query-name", "id": 2}"#);
    let mut other = Client::connect(&path);
    other.send(r#"{"execute": "panics", "id": 3}"#);
    assert_eq!(
        other.line(),
        r#"{"id": 3, "error": {"class": "GenericError", "desc": "internal error while executing command 'panics'"}}"#
    );
    other.send(r#"{"execute": "query-name", "id": 4}"#);
    assert_eq!(other.line(), r#"{"return": {}, "id": 4}"#);

    server.emit(EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH));
    let event = r#"{"timestamp": {"seconds": 0, "microseconds": 0}, "event": "STOP"}"#;
    assert_eq!(other.line(), event);
    assert_eq!(waiting.line(), event);

    other.send(r#"{"execute": "quit"} {"execute": "query-name"}"#);
    assert_eq!(other.line(), r#"{"return": {}}"#);
    assert_eq!(other.line(), "", "closed after the reply");

    // What was sent before the shutdown is answered in full.
    let done = std::thread::spawn({
        let handle = runtime.handle().clone();
        let server = server.clone();
        move || handle.block_on(server.shutdown())
    });
    gate.add_permits(1);
    assert_eq!(waiting.line(), r#"{"return": "waited", "id": 1}"#);
    assert_eq!(waiting.line(), r#"{"return": {}, "id": 2}"#);
    assert_eq!(waiting.line(), "");
    done.join().unwrap();
    assert_eq!(server.n_sessions(), 0);
}

#[test]
fn all_clients_leave_preconfig_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = SessionConfig {
        preconfig: true,
        ..SessionConfig::default()
    };
    let server = server_with(config, &Arc::new(Semaphore::new(0)), |_| false);
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut first = Client::connect(&path);
    first.send(r#"{"execute": "query-name"}"#);
    let refused = first.line();
    assert!(
        refused.contains("is permitted only after machine initialization"),
        "{refused}"
    );
    server.leave_preconfig();
    for client in [&mut first, &mut Client::connect(&path)] {
        client.send(r#"{"execute": "query-name"}"#);
        assert_eq!(client.line(), r#"{"return": {}}"#);
    }
}

#[test]
fn descriptors_reach_the_handler() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut client = Client::connect(&path);
    client.send(r#"{"execute": "getfd"}"#);
    assert!(client.line().contains("No file descriptor supplied"));

    let (reader, writer) = std::io::pipe().unwrap();
    client.send_with(r#"{"execute": "getfd"}"#, writer.as_fd());
    assert_eq!(client.line(), r#"{"return": {}}"#);
    drop(writer);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "hello");
}

#[test]
fn a_slow_reader_loses_no_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut client = Client::connect(&path);
    let mut writer = client.reader.get_ref().try_clone().unwrap();
    // 20 MB, which is more than sockets and sessions hold.
    let n_requests = 4000;
    let sent = Arc::new(AtomicUsize::new(0));
    let sender = std::thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            let padding = "x".repeat(5000);
            for index in 0..n_requests {
                let request =
                    format!(r#"{{"execute": "query-name", "id": [{index}, "{padding}"]}}"#);
                writer.write_all(request.as_bytes()).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    wait_until("the server stops reading", || {
        let before = sent.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        before > 0 && before == sent.load(Ordering::Relaxed)
    });
    assert!(sent.load(Ordering::Relaxed) < n_requests);
    for index in 0..n_requests {
        let expected = format!(r#"{{"return": {{}}, "id": [{index}, "#);
        assert!(client.line().starts_with(&expected));
    }
    sender.join().unwrap();
}

#[test]
fn tcp_without_a_host_is_loopback() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let address = runtime
        .block_on(server.listen(&ListenAddress::Tcp(":0".to_owned())))
        .unwrap()
        .unwrap();
    assert!(address.ip().is_loopback());
    let stream = std::net::TcpStream::connect(address).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with(r#"{"QMP": "#));
}

/// Well behaved clients among others that do not read, or leave in the middle of a command.
#[test]
fn hundreds_of_clients_get_all_their_replies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut silent = Vec::new();
    for index in 0..50 {
        let mut client = Client::connect(&path);
        client.send(&r#"{"execute": "query-name", "id": 1}"#.repeat(100));
        if index % 2 == 0 {
            client.send(r#"{"execute": "#);
            drop(client);
        } else {
            silent.push(client);
        }
    }
    runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..200 {
            let options = ConnectOptions::new(Address::unix(&path));
            clients.spawn(async move {
                let client = qapi_runtime::client::Client::connect(options)
                    .await
                    .unwrap();
                let mut n_errors = 0;
                for index in 0..50 {
                    let command = ["query-name", "nope", "getfd"][(number + index) % 3];
                    let call = client.execute_raw(command, None, CallOptions::new());
                    n_errors += usize::from(call.await.is_err());
                }
                n_errors
            });
        }
        let mut n_errors = 0;
        while let Some(errors) = clients.join_next().await {
            n_errors += errors.unwrap();
        }
        let expected = (0..200)
            .flat_map(|number| (0..50).map(move |index| (number + index) % 3))
            .filter(|kind| *kind > 0)
            .count();
        assert_eq!(n_errors, expected);
    });
    for mut client in silent {
        for _ in 0..100 {
            assert_eq!(client.line(), r#"{"return": {}, "id": 1}"#);
        }
    }
    runtime.block_on(server.shutdown());
    assert_eq!(server.n_sessions(), 0);
}

#[test]
fn sockets_that_were_opened_elsewhere_are_served() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let _guard = runtime.enter();

    // One that is connected.
    let (near, far) = UnixStream::pair().unwrap();
    server.serve_descriptor(far.into()).unwrap();
    let mut line = String::new();
    BufReader::new(near).read_line(&mut line).unwrap();
    assert!(line.starts_with(r#"{"QMP": "#));

    // One that listens, by its number, as socket activation hands it over.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let inherited = inherited(listener.as_raw_fd()).unwrap();
    server.serve_descriptor(inherited).unwrap();
    Client::connect(&path);

    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(server.serve_descriptor(reader.into()).is_err());
}

#[test]
fn abstract_names_and_leftover_sockets() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let name = format!("qapi-runtime-test-{}", std::process::id()).into_bytes();
    let address = ListenAddress::Abstract(name.clone());
    runtime.block_on(server.listen(&address)).unwrap();
    let options = ConnectOptions::new(Address::Abstract(name));
    let client = qapi_runtime::client::blocking::Client::connect(options).unwrap();
    assert!(client.greeting().is_some());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    Client::connect(&path);
    // What is not a socket stays.
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let refused = runtime.block_on(server.listen(&ListenAddress::unix(&file)));
    assert!(refused.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

/// A writer that takes everything at once and takes its time to hand it on, as standard output
/// does.
#[derive(Default)]
struct Lazy {
    kept: Vec<u8>,
    handed_on: Arc<Mutex<Vec<u8>>>,
    n_asked: usize,
}

impl AsyncWrite for Lazy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.kept.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.n_asked += 1;
        if !self.n_asked.is_multiple_of(3) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let kept = std::mem::take(&mut self.kept);
        self.handed_on.lock().unwrap().extend(kept);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whatever happens while output is handed on, it is written once.
#[test]
fn a_writer_that_keeps_things_back_gets_everything_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let writer = Lazy::default();
    let handed_on = Arc::clone(&writer.handed_on);
    let input = [r#"{"execute": "qmp_capabilities"}"#]
        .into_iter()
        .chain([r#"{"execute": "query-name"}"#; 3])
        .collect::<String>();
    runtime.block_on(async {
        let reader = io::Cursor::new(input.into_bytes());
        server(&gate).serve_stream(reader, writer).await;
    });
    let output = String::from_utf8(handed_on.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 5, "{output}");
    assert!(lines[0].starts_with(r#"{"QMP": "#));
}

/// A server that shuts down answers what was sent before, also what it has not looked at yet.
#[test]
fn what_was_sent_before_the_end_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let server = server(&gate);
    let address = ListenAddress::unix_with_mode(&path, 0o600);
    runtime.block_on(server.listen(&address)).unwrap();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&path)).collect();
    for client in &mut clients {
        client.send(r#"{"execute": "wait", "id": 1}"#);
        // Not even read while the first one runs.
        client.send(r#"{"execute": "query-name", "id": 2}"#);
    }
    let ending = runtime.spawn(async move { server.shutdown().await });
    gate.add_permits(clients.len());
    for mut client in clients {
        assert_eq!(client.line(), r#"{"return": "waited", "id": 1}"#);
        assert!(client.line().ends_with(r#""id": 2}"#));
        assert_eq!(client.line(), "");
    }
    runtime.block_on(ending).unwrap();
}

/// Two starts on one path, of one server and of two: the first one keeps it.
#[test]
fn the_socket_of_a_running_server_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let address = ListenAddress::unix(&path);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = server(&Arc::new(Semaphore::new(0)));
    runtime.block_on(first.listen(&address)).unwrap();
    let second = server(&Arc::new(Semaphore::new(0)));
    for late in [&first, &second] {
        let error = runtime.block_on(late.listen(&address)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let sentence = format!("socket '{}' is in use by a running server", path.display());
        assert_eq!(error.to_string(), sentence);
        // As `main` prints it.
        assert_eq!(format!("{error:?}"), sentence);
    }
    Client::connect(&path);
    runtime.block_on(second.shutdown());
    Client::connect(&path);
}

#[test]
fn a_server_that_has_shut_down_leaves_no_file_and_does_not_listen_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let address = ListenAddress::unix(&path);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime.block_on(server.listen(&address)).unwrap();
    runtime.block_on(server.shutdown());
    assert!(!path.exists());
    for address in [address, ListenAddress::Tcp("127.0.0.1:0".to_owned())] {
        let error = runtime.block_on(server.listen(&address)).unwrap_err();
        assert_eq!(error.to_string(), "the server has shut down");
    }
    assert!(!path.exists());
    let _guard = runtime.enter();
    let (_near, far) = UnixStream::pair().unwrap();
    let error = server.serve_descriptor(far.into()).unwrap_err();
    assert_eq!(error.to_string(), "the server has shut down");
}
