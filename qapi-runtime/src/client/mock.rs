//! A server for tests of code that uses a client.
//!
//! A [`Mock`] either follows a script, or serves any [`Service`] (such as the dispatcher
//! generated from a schema). It listens on a socket of its own, for one client after the other.
//!
//! ```
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::mock::Mock;
//! use qapi_runtime::client::{CallOptions, ConnectOptions};
//! use qapi_runtime::Value;
//!
//! let mock = Mock::new()
//!     .expect("query-name", None)
//!     .reply(Value::from("guest"))
//!     .start()?;
//! let client = Client::connect(ConnectOptions::new(mock.address()))?;
//! let name = client.execute_raw("query-name", None, CallOptions::new())?;
//! assert_eq!(name.as_str(), Some("guest"));
//! assert!(mock.finish().is_empty());
//! # Ok::<(), qapi_runtime::client::ClientError>(())
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};

use super::options::Address;
use super::transcript::{Recorded, Transcript};
use crate::dispatch::{BoxFuture, Reply, Service};
use crate::error::Error;
use crate::json::{Document, Limits, Parsed, Parser, ValueRef};
use crate::session::{Session, SessionConfig, Started};
use crate::socket::{BindError, listen_abstract};
use crate::value::{Object, Value};

/// What a mock does in one step of its script.
#[derive(Clone, Debug)]
enum Step {
    /// Waits for this command, with these arguments unless any will do.
    Expect {
        command: String,
        arguments: Option<Value>,
    },
    /// Sends a message; `id` is that of the last command if it is an answer.
    Send { message: Value, is_answer: bool },
    /// Sends bytes as they are.
    SendBytes(Vec<u8>),
    /// Closes the connection; the script goes on with the next one.
    Disconnect,
}

/// A server for tests, before it is started.
#[derive(Default)]
pub struct Mock {
    steps: VecDeque<Step>,
    service: Option<Arc<dyn Service>>,
    config: SessionConfig,
}

impl Mock {
    /// A mock with an empty script: greets, negotiates, and expects nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A mock that executes commands, each where its client is served.
    pub fn with_service(service: Arc<dyn Service>) -> Self {
        Self {
            service: Some(service),
            ..Self::default()
        }
    }

    /// A mock that plays the part of the server in a recording: for each command that was sent it
    /// expects the same, and sends what was received up to the next one.
    pub fn replay(transcript: &Transcript) -> Self {
        let mut mock = Self::new();
        for message in transcript.messages() {
            match message {
                Recorded::Sent(sent) => {
                    let command = sent.get("execute").or_else(|| sent.get("exec-oob"));
                    let Some(command) = command.and_then(Value::as_str) else {
                        continue;
                    };
                    if command != CAPABILITIES {
                        let arguments = sent.get("arguments").cloned();
                        mock =
                            mock.expect(command, arguments.or(Some(Value::Object(Object::new()))));
                    }
                }
                Recorded::Received(received) => {
                    let negotiation = received.get("QMP").is_some()
                        || received.get("id").and_then(Value::as_str).is_some();
                    if !negotiation {
                        let is_answer = received.get("event").is_none();
                        mock.steps.push_back(Step::Send {
                            message: received,
                            is_answer,
                        });
                    }
                }
            }
        }
        mock
    }

    /// Greeting and layout.
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = config;
        self
    }

    /// Expects a command; with these arguments, or with any.
    #[must_use]
    pub fn expect(mut self, command: &str, arguments: Option<Value>) -> Self {
        self.steps.push_back(Step::Expect {
            command: command.to_owned(),
            arguments,
        });
        self
    }

    /// Answers the last expected command.
    #[must_use]
    pub fn reply(mut self, value: Value) -> Self {
        self.steps.push_back(Step::Send {
            message: Value::from_iter([("return".to_owned(), value)]),
            is_answer: true,
        });
        self
    }

    /// Answers the last expected command with an error.
    #[must_use]
    pub fn error(mut self, error: &Error) -> Self {
        let error = Value::from_iter([
            ("class".to_owned(), Value::from(error.class.as_str())),
            ("desc".to_owned(), Value::from(error.desc.as_str())),
        ]);
        self.steps.push_back(Step::Send {
            message: Value::from_iter([("error".to_owned(), error)]),
            is_answer: true,
        });
        self
    }

    /// Sends an event.
    #[must_use]
    pub fn event(mut self, name: &str, data: Option<Value>) -> Self {
        let number = |name: &str, number| (name.to_owned(), Value::Int(number));
        let mut message = Object::from_iter([
            (
                "timestamp".to_owned(),
                Value::from_iter([number("seconds", 0), number("microseconds", 0)]),
            ),
            ("event".to_owned(), Value::from(name)),
        ]);
        if let Some(data) = data {
            message.insert("data".to_owned(), data);
        }
        self.steps.push_back(Step::Send {
            message: Value::Object(message),
            is_answer: false,
        });
        self
    }

    /// Sends bytes as they are: what is no QMP, or only the first half of it.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.push_back(Step::SendBytes(bytes.into()));
        self
    }

    /// Closes the connection; the script goes on with the next client.
    #[must_use]
    pub fn disconnect(mut self) -> Self {
        self.steps.push_back(Step::Disconnect);
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn start(self) -> io::Result<RunningMock> {
        let (name, listener) = listen()?;
        let state = Arc::new(MockState::default());
        let thread = {
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name("qmp-mock".to_owned())
                .spawn(move || self.serve_all(&listener, &state))?
        };
        Ok(RunningMock {
            name,
            state,
            thread: Some(thread),
        })
    }

    fn serve_all(mut self, listener: &UnixListener, state: &MockState) {
        loop {
            let accepted = listener.accept();
            if state.stopped.load(Ordering::Acquire) {
                break;
            }
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    state.mismatch(format!("clients cannot be accepted: {error}"));
                    break;
                }
            };
            match stream.try_clone() {
                Ok(handle) => *lock(&state.stream) = Some(handle),
                // Without it the mock could not be stopped while it serves.
                Err(error) => {
                    state.mismatch(format!("a client cannot be served: {error}"));
                    continue;
                }
            }
            // Whoever stops the mock may have looked for the stream before it was there.
            if state.stopped.load(Ordering::Acquire) {
                break;
            }
            let served = match self.service.clone() {
                Some(service) => serve_service(stream, &self.config, &*service, state),
                None => self.serve_script(stream, state),
            };
            lock(&state.stream).take();
            match served {
                Ok(()) => {}
                // A client that goes away is a part of many tests.
                Err(error) if is_end(error.kind()) => {}
                Err(error) => state.mismatch(format!("a connection has failed: {error}")),
            }
        }
        for step in &self.steps {
            if let Step::Expect { command, .. } = step {
                state.mismatch(format!("expected {command}, which did not come"));
            }
        }
    }

    fn serve_script(&mut self, stream: UnixStream, state: &MockState) -> io::Result<()> {
        let mut peer = Peer::new(stream);
        let session = Session::new(self.config.clone());
        peer.stream.write_all(session.output())?;
        let negotiation = peer.next()?;
        if command_of(negotiation.root()) != CAPABILITIES {
            state.mismatch(format!(
                "expected {CAPABILITIES}, got {}",
                negotiation.root()
            ));
        }
        peer.answer(
            Value::from_iter([("return".to_owned(), Value::Object(Object::new()))]),
            &negotiation,
        )?;
        let mut last = Document::default();
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Expect { command, arguments } => {
                    last = match peer.next() {
                        Ok(message) => message,
                        Err(error) => {
                            self.steps.push_front(Step::Expect { command, arguments });
                            return Err(error);
                        }
                    };
                    let got = last.root();
                    let fits = arguments.is_none_or(|arguments| {
                        let got = got.get("arguments");
                        got.map_or_else(|| Value::Object(Object::new()), ValueRef::to_value)
                            == arguments
                    });
                    if command_of(got) != command || !fits {
                        state.mismatch(format!("expected {command}, got {got}"));
                    }
                }
                Step::Send { message, is_answer } if is_answer => peer.answer(message, &last)?,
                Step::Send { message, .. } => peer.send(&message)?,
                Step::SendBytes(bytes) => peer.stream.write_all(&bytes)?,
                Step::Disconnect => return Ok(()),
            }
        }
        // Nothing more is expected, but the client may want to find the connection open.
        while let Ok(message) = peer.next() {
            state.mismatch(format!("expected nothing more, got {}", message.root()));
            let error = Error::generic("the script of the mock is over");
            let error = Value::from_iter([
                ("class".to_owned(), Value::from(error.class.as_str())),
                ("desc".to_owned(), Value::from(error.desc)),
            ]);
            peer.answer(Value::from_iter([("error".to_owned(), error)]), &message)?;
        }
        Ok(())
    }
}

/// Listens on a name that nobody else has. Processes of several containers may have the same number and share names, so one
/// that is taken is passed over.
fn listen() -> io::Result<(Vec<u8>, UnixListener)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("qapi-runtime-mock-{}-{number}", std::process::id()).into_bytes();
        match listen_abstract(&name) {
            Ok(socket) => {
                let listener = UnixListener::from(socket);
                listener.set_nonblocking(false)?;
                return Ok((name, listener));
            }
            Err(BindError::InUse { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an error of a connection is only its end.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

const CAPABILITIES: &str = "qmp_capabilities";

fn command_of(message: ValueRef<'_>) -> &str {
    message
        .get("execute")
        .or_else(|| message.get("exec-oob"))
        .and_then(ValueRef::as_str)
        .unwrap_or("")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection to one client, message by message.
struct Peer {
    stream: UnixStream,
    parser: Parser,
    buffer: Vec<u8>,
}

impl Peer {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            parser: Parser::new(Limits::QMP),
            buffer: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<Document> {
        loop {
            let mut input = &self.buffer[..];
            let parsed = self.parser.feed(&mut input);
            let rest = input.len();
            self.buffer.drain(..self.buffer.len() - rest);
            match parsed {
                Parsed::Value => return Ok(self.parser.take_document()),
                Parsed::Error(error) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Parsed::Incomplete => {}
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        self.stream.write_all(format!("{message}\r\n").as_bytes())
    }

    /// Sends an answer to `request`, whose `id` it gets.
    fn answer(&mut self, message: Value, request: &Document) -> io::Result<()> {
        let mut members = match message {
            Value::Object(members) => members,
            other => Object::from_iter([("return".to_owned(), other)]),
        };
        members.shift_remove("id");
        if let Some(id) = request.root().get("id") {
            members.insert("id".to_owned(), id.to_value());
        }
        self.send(&Value::Object(members))
    }
}

/// Serves a client with a real session.
fn serve_service(
    mut stream: UnixStream,
    config: &SessionConfig,
    service: &dyn Service,
    state: &MockState,
) -> io::Result<()> {
    let mut session = Session::new(config.clone());
    let mut buffer = vec![0; 4096];
    let mut pending = 0..0;
    loop {
        let mut input = &buffer[pending.clone()];
        while let Some(call) = session.advance(&mut input, service, |_| true) {
            let id = call.id();
            let result: Result<Reply, Error> = match call.start(service) {
                Started::Done(result) => result,
                Started::Pending(future) => block_on(future, state),
            };
            session.complete(id, result);
        }
        pending.start = pending.end - input.len();
        let count = session.output().len();
        if count > 0 {
            // What waits behind that much output goes on in the next turn.
            stream.write_all(session.output())?;
            session.consume_output(count);
        } else if session.is_finished() {
            return Ok(());
        } else {
            match stream.read(&mut buffer)? {
                0 => session.end_of_input(),
                count => pending = 0..count,
            }
        }
    }
}

/// Runs a future to its end, or to that of the mock, on this thread.
fn block_on(mut future: BoxFuture, state: &MockState) -> Result<Reply, Error> {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            // The future may wait for whoever stops the mock.
            Poll::Pending if state.stopped.load(Ordering::Acquire) => {
                return Err(Error::generic("the mock is stopped"));
            }
            Poll::Pending => std::thread::park(),
        }
    }
}

/// What the thread of a mock and its owner share.
#[derive(Default)]
struct MockState {
    stopped: AtomicBool,
    stream: Mutex<Option<UnixStream>>,
    mismatches: Mutex<Vec<String>>,
}

impl MockState {
    fn mismatch(&self, text: String) {
        lock(&self.mismatches).push(text);
    }
}

/// A mock that listens. Dropping it stops it.
pub struct RunningMock {
    name: Vec<u8>,
    state: Arc<MockState>,
    thread: Option<JoinHandle<()>>,
}

impl RunningMock {
    /// Where to connect.
    pub fn address(&self) -> Address {
        Address::Abstract(self.name.clone())
    }

    /// Closes the connection that is served now, as a server that is killed does.
    pub fn kill_connection(&self) {
        if let Some(stream) = lock(&self.state.stream).take() {
            // It may be closed already, which is all that is wanted.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Stops the mock; what came otherwise than expected, in words.
    pub fn finish(mut self) -> Vec<String> {
        self.stop();
        std::mem::take(&mut lock(&self.state.mismatches))
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.state.stopped.store(true, Ordering::Release);
        self.kill_connection();
        // Wakes the thread up if it waits for a future, or for a client.
        thread.thread().unpark();
        let wakes = SocketAddr::from_abstract_name(&self.name)
            .and_then(|address| UnixStream::connect_addr(&address));
        // A thread that has ended does not listen any more, and one that may not be woken is not waited for.
        if wakes.is_ok() || thread.is_finished() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RunningMock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningMock").finish_non_exhaustive()
    }
}
