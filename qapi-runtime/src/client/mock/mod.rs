//! A server for tests of code that uses a client.
//!
//! A [`Mock`] either follows a script, or serves any [`Service`] (such as the dispatcher
//! generated from a schema). It listens on a socket of its own, for any number of clients at a time.
//!
//! There is one script for all clients: a command is expected from whichever sends it and answered there, and an event goes to
//! all. What comes after [`Mock::disconnect`] waits for the next client, unless another one is there.
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

mod listen;
mod play;
mod replay;
mod service;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::open::open_within;
use super::peer::Peer;
use super::thread::not_started;
use crate::address::Address;
use crate::dialect::Dialect;
use crate::dispatch::Service;
use crate::error::Error;
use crate::json::ValueRef;
use crate::lock::lock;
use crate::session::SessionConfig;
use crate::system::{Meeting, MockStream};
use crate::value::{Object, Value};

/// How long it may take to wake the thread of a mock.
const WAKING: Duration = Duration::from_secs(5);

/// What a mock does in one step of its script.
#[derive(Clone, Debug)]
enum Step {
    /// Waits for this command, with these arguments unless any will do.
    Expect {
        command: String,
        arguments: Option<Value>,
        /// The command's number in the script.
        number: usize,
    },
    /// Sends a message.
    Send { message: Value, to: To },
    /// Sends bytes as they are.
    SendBytes(Vec<u8>),
    /// Does nothing for a while.
    Delay(Duration),
    /// Closes the connection; the script goes on with the next one.
    Disconnect,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug)]
enum To {
    /// Who has sent the command with this number; the message gets its `id`.
    Request(Option<usize>),
    /// The client that has come as the so-manieth, from 1 on.
    Connection(u64),
    Everyone,
}

/// What a mock says to a client that comes.
#[derive(Clone, Debug, Default)]
struct Opening {
    /// Before the greeting.
    first: Vec<Value>,
    /// The usual one unless given.
    greeting: Option<Value>,
    /// Before the negotiation is over.
    then: Vec<Value>,
}

/// A server for tests, before it is started.
#[derive(Default)]
pub struct Mock {
    steps: VecDeque<Step>,
    n_expected: usize,
    /// For the clients in the order in which they come; the usual one for all further ones.
    openings: VecDeque<Opening>,
    /// Commands that nothing is between may come in another order.
    takes_any_order: bool,
    service: Option<Arc<dyn Service>>,
    config: SessionConfig,
    dialect: Dialect,
    hides_ids: bool,
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

    /// Greeting and layout.
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = config;
        self
    }

    /// What the mock speaks, where it follows a script. As a guest agent it does not greet.
    ///
    /// In either dialect it answers `guest-sync-delimited` and `guest-sync` by itself, each when its turn in the script has
    /// come. So a client that takes it for a guest agent is served also by one that was not told.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Has answers without the `id` of their command, as those of an old guest agent are.
    #[must_use]
    pub fn without_ids(mut self) -> Self {
        self.hides_ids = true;
        self
    }

    /// Expects a command; with these arguments, or with any.
    #[must_use]
    pub fn expect(mut self, command: &str, arguments: Option<Value>) -> Self {
        self.steps.push_back(Step::Expect {
            command: command.to_owned(),
            arguments,
            number: self.n_expected,
        });
        self.n_expected += 1;
        self
    }

    /// Answers the last expected command.
    #[must_use]
    pub fn reply(self, value: Value) -> Self {
        let to = To::Request(self.n_expected.checked_sub(1));
        self.send(Value::from_iter([("return".to_owned(), value)]), to)
    }

    /// Answers the command that the script expects as the so-manieth, from 0 on: late, or before another one.
    #[must_use]
    pub fn reply_to(self, number: usize, value: Value) -> Self {
        let to = To::Request(Some(number));
        self.send(Value::from_iter([("return".to_owned(), value)]), to)
    }

    /// Answers the last expected command with an error.
    #[must_use]
    pub fn error(self, error: &Error) -> Self {
        let to = To::Request(self.n_expected.checked_sub(1));
        self.send(error_message(error), to)
    }

    /// Sends an event.
    #[must_use]
    pub fn event(self, name: &str, data: Option<Value>) -> Self {
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
        self.send(Value::Object(message), To::Everyone)
    }

    fn send(mut self, message: Value, to: To) -> Self {
        self.steps.push_back(Step::Send { message, to });
        self
    }

    /// Sends bytes as they are: what is not QMP, or only the first half of it.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.push_back(Step::SendBytes(bytes.into()));
        self
    }

    /// Does nothing for a while: what comes meanwhile is answered late.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.steps.push_back(Step::Delay(delay));
        self
    }

    /// Closes the connection on which the last command came; the script goes on with the next client.
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
        let meeting = Meeting::new()?;
        let address = meeting.address();
        let state = Arc::new(MockState::default());
        let thread = {
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name("qmp-mock".to_owned())
                .spawn(move || listen::serve_all(self, &meeting, &state))
                .map_err(not_started)?
        };
        Ok(RunningMock {
            address,
            state,
            thread: Some(thread),
        })
    }
}

/// Commands of the guest agent that are answered with their argument.
const SYNCS: [&str; 2] = ["guest-sync-delimited", "guest-sync"];

fn command_of(message: ValueRef<'_>) -> &str {
    message
        .get("execute")
        .or_else(|| message.get("exec-oob"))
        .and_then(ValueRef::as_str)
        .unwrap_or("")
}

fn error_message(error: &Error) -> Value {
    let error = Value::from_iter([
        ("class".to_owned(), Value::from(error.class.as_str())),
        ("desc".to_owned(), Value::from(error.desc.as_str())),
    ]);
    Value::from_iter([("error".to_owned(), error)])
}

/// What the threads of a mock and its owner share.
#[derive(Default)]
struct MockState {
    stopped: AtomicBool,
    /// The connections that are served now.
    streams: Mutex<Vec<MockStream>>,
    mismatches: Mutex<Vec<String>>,
    /// For those who wait for a while.
    pause: Mutex<()>,
    stops: Condvar,
}

impl MockState {
    fn mismatch(&self, text: String) {
        lock(&self.mismatches).push(text);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits, but not for a mock that is stopped.
    fn delay(&self, delay: Duration) {
        let waited = self
            .stops
            .wait_timeout_while(lock(&self.pause), delay, |()| !self.is_stopped());
        drop(waited);
    }

    fn stop(&self) {
        let pause = lock(&self.pause);
        self.stopped.store(true, Ordering::Release);
        drop(pause);
        self.stops.notify_all();
    }

    fn close_all(&self) {
        for stream in lock(&self.streams).drain(..) {
            // It may be closed already, which is all that is wanted.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A mock that listens. Dropping it stops it.
pub struct RunningMock {
    address: Address,
    state: Arc<MockState>,
    thread: Option<JoinHandle<()>>,
}

impl RunningMock {
    /// Where to connect.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Closes the connections that are served now, as a server that is killed does.
    pub fn kill_connection(&self) {
        self.state.close_all();
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
        self.state.stop();
        self.state.close_all();
        // Wakes the thread up if it waits for a client.
        let woken = match open_within(&Peer::At(self.address()), WAKING) {
            Ok(_) => true,
            // It is awake where others wait to be accepted.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        // A thread that has ended does not listen any more, and one that may not be woken is not waited for.
        if woken || thread.is_finished() {
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
