//! The client for programs with threads.
//!
//! ```no_run
//! use std::time::Duration;
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::{Address, CallOptions, ConnectOptions, EventFilter};
//!
//! # fn main() -> Result<(), qapi_runtime::client::ClientError> {
//! let options = ConnectOptions::new(Address::unix("/run/example/qmp.sock"))
//!     .wait_for_socket(Duration::from_secs(5));
//! let client = Client::connect(options)?;
//! let stopped = client.listen(EventFilter::name("STOP"));
//! client.execute_raw("stop", None, CallOptions::new())?;
//! stopped.next(Some(Duration::from_secs(1)))?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::core::{Answer, Encoded, Greeting, SILENT_SUCCESS, settle};
use super::error::{Awaited, ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::hub::{Hub, Missed};
use super::options::{CallOptions, ConnectOptions};
use super::stream::{Deadline, NotSent, Stream, time_to};
use super::{CONNECT_PAUSE, EVENT_BACKLOG, READ_SIZE};
use crate::dispatch::Request;
use crate::value::Value;
use crate::visit::Visit;

/// A connection to a server. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ConnectOptions,
    state: Mutex<State>,
    /// Told when the state of the connection changes.
    changed: Condvar,
    /// Held while a request is written, so that requests do not mix. Never taken with `state`
    /// held: a write can block until the reader has made room.
    writer: Mutex<Option<Stream>>,
    /// Whether a thread is about to write. Those that wait for it can give up, which those that
    /// wait for a lock cannot.
    is_turn_taken: Mutex<bool>,
    turn_ended: Condvar,
    next_id: AtomicU64,
}

struct State {
    hub: Hub,
    phase: Phase,
    greeting: Option<Greeting>,
    /// Another handle on the socket, to end what blocks on it.
    socket: Option<Stream>,
}

/// The right to write a request.
struct Turn<'a>(&'a Inner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.is_turn_taken) = false;
        self.0.turn_ended.notify_one();
    }
}

/// Where the answer to one request comes.
type Answers = mpsc::Receiver<Result<Answer, ClientErrorKind>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connected,
    /// The connection broke; the reader makes another one, or closes.
    Reconnecting,
    Closed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is never left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a change of what is behind the lock.
fn wait<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Deadline,
) -> Result<MutexGuard<'a, T>, ClientErrorKind> {
    let Some((deadline, timeout)) = deadline else {
        return Ok(changed.wait(guard).unwrap_or_else(PoisonError::into_inner));
    };
    let left = time_to(deadline);
    if left.is_zero() {
        return Err(ClientErrorKind::TimedOut(timeout));
    }
    let waited = changed.wait_timeout(guard, left);
    Ok(waited.unwrap_or_else(PoisonError::into_inner).0)
}

/// Connects and brings the protocol to the point where commands may be sent.
fn establish(
    options: &ConnectOptions,
    hub: &mut Hub,
    wait: Duration,
) -> Result<Stream, ClientError> {
    let stream = Stream::open_by(options, wait);
    let mut stream = stream.map_err(|error| options.address.not_connected(error))?;
    let deadline = Instant::now() + options.handshake;
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let output = hub.core().take_output();
        if !output.is_empty() {
            let deadline = Some((deadline, options.handshake));
            let sent = stream.send(&output, &[], deadline);
            sent.map_err(|NotSent { error, .. }| error)?;
        }
        if hub.core().is_ready() {
            stream.set_read_timeout(None)?;
            return Ok(stream);
        }
        let left = time_to(deadline);
        if left.is_zero() {
            return Err(ClientError::new(ClientErrorKind::TimedOut(
                options.handshake,
            )));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ClientError::new(ClientErrorKind::Closed)),
            Ok(count) => hub.receive(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Client {
    /// Connects to a server and negotiates.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub fn connect(options: ConnectOptions) -> Result<Self, ClientError> {
        let mut hub = Hub::new(&options);
        let stream = establish(&options, &mut hub, options.wait)?;
        let reader = stream.try_clone()?;
        let socket = stream.try_clone()?;
        let greeting = hub.core().greeting().cloned();
        let inner = Arc::new(Inner {
            options,
            state: Mutex::new(State {
                hub,
                phase: Phase::Connected,
                greeting,
                socket: Some(socket),
            }),
            changed: Condvar::new(),
            writer: Mutex::new(Some(stream)),
            is_turn_taken: Mutex::new(false),
            turn_ended: Condvar::new(),
            next_id: AtomicU64::new(1),
        });
        let weak = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("qmp-client".to_owned())
            .spawn(move || read_all(&weak, reader))?;
        Ok(Self { inner })
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<Greeting> {
        lock(&self.inner.state).greeting.clone()
    }

    /// Executes a command.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute<R: Request>(&self, request: &R) -> Result<R::Returns, ClientError> {
        self.execute_with(request, CallOptions::new())
    }

    /// Executes a command in some other way than the usual one.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute_with<R: Request>(
        &self,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Returns, ClientError> {
        self.call(R::COMMAND, Some(request), options, R::SUCCESS_RESPONSE)
    }

    /// Executes a command without types.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute_raw(
        &self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, ClientError> {
        self.call(command, arguments, options, true)
    }

    fn call<A: Visit, T: Visit>(
        &self,
        command: &str,
        arguments: Option<&A>,
        options: CallOptions,
        is_answered: bool,
    ) -> Result<T, ClientError> {
        let timeout = options
            .timeout
            .or((!is_answered).then_some(SILENT_SUCCESS))
            .or(self.inner.options.timeout);
        let deadline = timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let encode = |id| Encoded::new(command, arguments, id, options.out_of_band);
        let (request, answer) = self.inner.send(&encode, &options, deadline)?;
        let answer = match deadline {
            None => answer.recv().unwrap_or(Err(ClientErrorKind::Closed)),
            Some((deadline, timeout)) => {
                answer
                    .recv_timeout(time_to(deadline))
                    .unwrap_or_else(|error| {
                        Err(match error {
                            RecvTimeoutError::Timeout => ClientErrorKind::TimedOut(timeout),
                            RecvTimeoutError::Disconnected => ClientErrorKind::Closed,
                        })
                    })
            }
        };
        if answer.is_err() {
            lock(&self.inner.state).hub.forget(request.id, is_answered);
        }
        settle(answer, &request, is_answered)
    }

    /// Listens to events from now on, also those of later connections.
    pub fn listen(&self, filter: EventFilter) -> Events {
        let (sender, receiver) = mpsc::sync_channel(EVENT_BACKLOG);
        let missed = Missed::default();
        let mut state = lock(&self.inner.state);
        if state.phase != Phase::Closed {
            let listen = move |event| sender.try_send(event).is_ok();
            state.hub.listen(filter, &missed, Box::new(listen));
        }
        Events { receiver, missed }
    }

    /// Waits for the next event that passes the filter. Events that came before do not count:
    /// [`Client::listen`] before the command that causes the event, if it may come soon.
    ///
    /// # Errors
    ///
    /// No such event in time, or the end of the connection.
    pub fn wait_for_event(
        &self,
        filter: EventFilter,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        self.listen(filter).next(timeout)
    }

    /// Closes the connection for all clones. Commands in flight end with
    /// [`ClientErrorKind::Closed`].
    pub fn close(&self) {
        self.inner.close();
    }

    /// Whether the connection is closed for good.
    pub fn is_closed(&self) -> bool {
        lock(&self.inner.state).phase == Phase::Closed
    }
}

impl Inner {
    /// Waits for the connection, if it is being made again.
    fn wait_until_connected(&self, deadline: Deadline) -> Result<(), ClientErrorKind> {
        let mut state = lock(&self.state);
        loop {
            match state.phase {
                Phase::Connected => return Ok(()),
                Phase::Closed => return Err(ClientErrorKind::Closed),
                Phase::Reconnecting => state = wait(&self.changed, state, deadline)?,
            }
        }
    }

    /// Waits until no other thread is writing; one may be held up by a server that does not read.
    fn turn(&self, deadline: Deadline) -> Result<Turn<'_>, ClientErrorKind> {
        let mut is_taken = lock(&self.is_turn_taken);
        while *is_taken {
            is_taken = wait(&self.turn_ended, is_taken, deadline)?;
        }
        *is_taken = true;
        Ok(Turn(self))
    }

    fn send(
        &self,
        encode: &dyn Fn(u64) -> Result<Encoded, ClientError>,
        options: &CallOptions,
        deadline: Deadline,
    ) -> Result<(Encoded, Answers), ClientError> {
        // What cannot be encoded or is not allowed is told before anything waits.
        let fail = |kind| -> Result<_, ClientError> { Err(encode(0)?.error(kind)) };
        encode(0)?;
        let turn = self.turn(deadline).and_then(|turn| {
            self.wait_until_connected(deadline)?;
            Ok(turn)
        });
        let _turn = match turn {
            Ok(turn) => turn,
            Err(kind) => {
                let is_lost = lock(&self.state).phase == Phase::Reconnecting;
                let awaited = if is_lost {
                    Awaited::Connection
                } else {
                    Awaited::Answer
                };
                return fail(kind).map_err(|error| error.awaiting(awaited));
            }
        };
        let mut writer = lock(&self.writer);
        let (sender, answer) = mpsc::channel();
        let request = {
            let mut state = lock(&self.state);
            if options.out_of_band && !state.hub.core().oob_enabled() {
                return fail(ClientErrorKind::OobNotEnabled);
            }
            if state.phase != Phase::Connected {
                return fail(ClientErrorKind::Closed);
            }
            // Under both locks, so that numbers grow in the order of the stream.
            let request = encode(self.next_id.fetch_add(1, Ordering::Relaxed))?;
            let deliver = Box::new(move |answer| {
                // The receiver may have given up; then nobody waits for the answer.
                let _ = sender.send(answer);
            });
            state.hub.sent(&request, options.out_of_band, deliver);
            request
        };
        let descriptors: Vec<BorrowedFd<'_>> =
            options.descriptors.iter().map(AsFd::as_fd).collect();
        let result = match writer.as_mut() {
            Some(stream) => stream.send(request.as_bytes(), &descriptors, deadline),
            None => Err(NotSent {
                error: io::ErrorKind::NotConnected.into(),
                is_partial: false,
            }),
        };
        match result {
            Ok(()) => Ok((request, answer)),
            Err(NotSent { error, is_partial }) => {
                let kind = match deadline {
                    Some((_, timeout)) if error.kind() == io::ErrorKind::WouldBlock => {
                        ClientErrorKind::TimedOut(timeout)
                    }
                    _ => ClientErrorKind::not_written(error),
                };
                // After half a request there cannot be another one.
                let is_end = is_partial || matches!(kind, ClientErrorKind::Closed);
                let mut state = lock(&self.state);
                state.hub.forget(request.id, false);
                if is_end && state.phase == Phase::Connected {
                    // The reader sees the end when it has handed on what came before it; whoever
                    // has a request meanwhile waits for what becomes of the connection.
                    if let Some(socket) = &state.socket {
                        socket.shut_down();
                    }
                    self.set_phase(&mut state, Phase::Reconnecting);
                }
                Err(request.error(kind))
            }
        }
    }

    fn set_phase(&self, state: &mut State, phase: Phase) {
        if phase == Phase::Closed {
            state.hub.close();
        }
        state.phase = phase;
        self.changed.notify_all();
    }

    fn close(&self) {
        {
            let mut state = lock(&self.state);
            self.set_phase(&mut state, Phase::Closed);
            if let Some(socket) = state.socket.take() {
                socket.shut_down();
            }
        }
        lock(&self.writer).take();
    }

    /// Makes the connection again; the stream to read from, or nothing if that is the end.
    fn reconnect(self: &Arc<Self>) -> Option<Stream> {
        let trying = self.options.reconnect;
        {
            let mut state = lock(&self.state);
            if state.phase == Phase::Closed {
                return None;
            }
            let Some(_) = trying else {
                self.set_phase(&mut state, Phase::Closed);
                return None;
            };
            state.hub.restart(&self.options);
            self.set_phase(&mut state, Phase::Reconnecting);
        }
        // The writer that is blocked on the old connection, if any, fails now.
        lock(&self.writer).take();
        let deadline = Instant::now() + trying.unwrap_or_default();
        loop {
            // Only the caller is left.
            if Arc::strong_count(self) == 1 {
                return None;
            }
            let mut hub = Hub::new(&self.options);
            let stream = establish(&self.options, &mut hub, Duration::ZERO)
                .and_then(|stream| Ok((stream.try_clone()?, stream.try_clone()?, stream)));
            let mut writer = lock(&self.writer);
            let mut state = lock(&self.state);
            if state.phase == Phase::Closed {
                return None;
            }
            match stream {
                Ok((reader, socket, stream)) => {
                    state.socket = Some(socket);
                    state.greeting = hub.core().greeting().cloned();
                    state.hub.adopt(hub);
                    *writer = Some(stream);
                    self.set_phase(&mut state, Phase::Connected);
                    return Some(reader);
                }
                Err(_) if Instant::now() < deadline => {}
                Err(_) => {
                    self.set_phase(&mut state, Phase::Closed);
                    return None;
                }
            }
            drop(state);
            drop(writer);
            std::thread::sleep(CONNECT_PAUSE);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(socket) = lock(&self.state).socket.take() {
            socket.shut_down();
        }
    }
}

/// The body of the reader thread.
///
/// It holds the client only while it has something to hand on, so that dropping the last client
/// closes the socket and thereby ends the thread.
fn read_all(inner: &Weak<Inner>, mut stream: Stream) {
    let mut buffer = vec![0; READ_SIZE];
    loop {
        // A connection that fails ends like one that is closed: all who wait are told so.
        let count = stream.read(&mut buffer).unwrap_or(0);
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let goes_on = count > 0 && {
            let mut state = lock(&inner.state);
            state.phase != Phase::Closed && state.hub.receive(&buffer[..count]).is_ok()
        };
        if goes_on {
            continue;
        }
        stream.shut_down();
        match inner.reconnect() {
            Some(next) => stream = next,
            None => return,
        }
    }
}

/// A listener's events.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Arc<RawEvent>>,
    missed: Missed,
}

impl Events {
    /// Waits for the next event; for ever without a time-out.
    ///
    /// # Errors
    ///
    /// No event in time, or the end of the connection.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Arc<RawEvent>, ClientError> {
        match timeout {
            None => self
                .receiver
                .recv()
                .map_err(|_| ClientError::new(ClientErrorKind::Closed)),
            Some(timeout) => self.receiver.recv_timeout(timeout).map_err(|error| {
                ClientError::new(match error {
                    RecvTimeoutError::Timeout => ClientErrorKind::TimedOut(timeout),
                    RecvTimeoutError::Disconnected => ClientErrorKind::Closed,
                })
                .awaiting(Awaited::Event)
            }),
        }
    }

    /// An event that is there already.
    pub fn try_next(&self) -> Option<Arc<RawEvent>> {
        self.receiver.try_recv().ok()
    }

    /// How many events were dropped because 1,024 were waiting here.
    pub fn n_missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.inner.options.address)
            .finish_non_exhaustive()
    }
}
