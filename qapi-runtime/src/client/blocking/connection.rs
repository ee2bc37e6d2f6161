//! The connection behind the blocking client, which a thread reads.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::super::READ_SIZE;
use super::super::backoff::Backoff;
use super::super::core::{Admission, Greeting};
use super::super::error::{Awaited, ClientError, ClientErrorKind};
use super::super::establish::{handshake_io, not_established, not_opened, with_silence};
use super::super::hub::Hub;
use super::super::late::LateReply;
use super::super::open::is_lasting;
use super::super::options::{CallOptions, ConnectOptions};
use super::super::request::{Answer, Draft, Encoded};
use super::super::stream::{Deadline, NotSent, Stream, time_to};
use super::super::thread::not_started;
use super::super::trace;
use crate::descriptor::PeerCredentials;
use crate::lock::lock;

/// Where the answer to one request comes.
pub(super) type Answers = mpsc::Receiver<Result<Answer, ClientErrorKind>>;

/// What the handles of a client and its reader share.
pub(super) struct Inner {
    pub(super) options: Arc<ConnectOptions>,
    pub(super) peer: Arc<str>,
    pub(super) state: Mutex<State>,
    /// Told when the state of the connection changes, and when a request may be sent for which others wait.
    changed: Condvar,
    /// Whether a thread is about to write, so that requests do not mix. Those that wait for it can give up, which those that
    /// wait for a lock cannot.
    is_turn_taken: Mutex<bool>,
    turn_ended: Condvar,
    next_id: AtomicU64,
    bell: Arc<Bell>,
}

pub(super) struct State {
    pub(super) hub: Hub,
    pub(super) phase: Phase,
    pub(super) greeting: Option<Greeting>,
    pub(super) credentials: Option<PeerCredentials>,
    /// To write to, and to end what blocks on it.
    stream: Option<Stream>,
    /// Threads that wait until they may send a request.
    n_waiting: usize,
    /// Why the last attempt to connect again failed.
    trouble: Option<String>,
}

impl State {
    /// Whether this connection is the one that is in use: by the time that it turns out to be broken, the reader may have
    /// made another one.
    fn is_connected_by(&self, stream: &Stream) -> bool {
        let current = self.stream.as_ref();
        self.phase == Phase::Connected && current.is_some_and(|it| it.is_same_as(stream))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connected,
    /// The connection broke; the reader makes another one, or closes.
    Reconnecting,
    Closed,
}

/// The right to write a request.
struct Turn<'a>(&'a Inner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.is_turn_taken) = false;
        self.0.turn_ended.notify_one();
    }
}

/// Ends the pauses of the reader: it rings when the client is closed or gone.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.has_rung) = true;
        self.rings.notify_all();
    }

    /// Waits; whether it rang.
    fn wait(&self, pause: Duration) -> bool {
        let guard = lock(&self.has_rung);
        let waited = self
            .rings
            .wait_timeout_while(guard, pause, |has_rung| !*has_rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
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

/// Connects to the address.
pub(super) fn open(options: &ConnectOptions, wait: Duration) -> Result<Stream, ClientError> {
    Stream::open_by(options, wait).map_err(|error| not_opened(error, options))
}

/// Brings the protocol to the point where commands may be sent.
pub(super) fn establish(
    stream: &Stream,
    options: &ConnectOptions,
    hub: &mut Hub,
) -> Result<(), ClientError> {
    shake_hands(stream, options, hub).map_err(|error| {
        let error = with_silence(error, options, stream.credentials());
        stream.shut_down();
        not_established(error, hub, options, stream.command.as_ref())
    })
}

fn shake_hands(
    stream: &Stream,
    options: &ConnectOptions,
    hub: &mut Hub,
) -> Result<(), ClientError> {
    let deadline = Instant::now() + options.handshake.saturating_sub(stream.waited);
    // When what was said is said again.
    let mut repeat: Option<Instant> = None;
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let output = hub.core().take_output();
        if !output.is_empty() {
            let sent = stream.send(&output, &[], Some((deadline, options.handshake)));
            sent.map_err(|NotSent { error, .. }| handshake_io(error, options))?;
            repeat = hub.core().sync_pause().map(|pause| Instant::now() + pause);
        }
        if hub.core().is_ready() {
            return Ok(());
        }
        if time_to(deadline).is_zero() {
            let kind = ClientErrorKind::TimedOut(options.handshake);
            return Err(ClientError::new(kind));
        }
        let until = repeat.map_or(deadline, |repeat| repeat.min(deadline));
        match stream.read_within(&mut buffer, time_to(until)) {
            Ok(0) => return Err(ClientError::new(ClientErrorKind::Closed)),
            Ok(count) => hub.receive(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(handshake_io(error, options)),
        }
        if repeat.is_some_and(|repeat| time_to(repeat).is_zero()) {
            hub.core().repeat_sync();
            repeat = hub.core().sync_pause().map(|pause| Instant::now() + pause);
        }
    }
}

impl Inner {
    /// Goes on with a connection that is established: a thread reads it.
    pub(super) fn start(
        options: ConnectOptions,
        mut hub: Hub,
        stream: Stream,
    ) -> Result<Arc<Self>, ClientError> {
        let peer = options.peer();
        let inner = Arc::new(Self {
            peer: Arc::clone(&peer),
            options: Arc::new(options),
            state: Mutex::new(State {
                greeting: hub.core().greeting().cloned(),
                hub,
                phase: Phase::Connected,
                credentials: stream.credentials(),
                stream: Some(stream.clone()),
                n_waiting: 0,
                trouble: None,
            }),
            changed: Condvar::new(),
            is_turn_taken: Mutex::new(false),
            turn_ended: Condvar::new(),
            next_id: AtomicU64::new(1),
            bell: Arc::default(),
        });
        let reader = Reader {
            inner: Arc::downgrade(&inner),
            options: Arc::clone(&inner.options),
            bell: Arc::clone(&inner.bell),
            backoff: Backoff::default(),
        };
        let thread = std::thread::Builder::new().name("qmp-client".to_owned());
        match thread.spawn(move || reader.run(stream)) {
            Ok(_) => Ok(inner),
            Err(error) => Err(ClientError::from(not_started(error)).of_peer(&peer)),
        }
    }

    /// Waits until it is worth to try to send a request: there is a connection, with room.
    fn wait_until_admitted(
        &self,
        out_of_band: bool,
        deadline: Deadline,
    ) -> Result<(), (ClientErrorKind, Awaited)> {
        let mut state = lock(&self.state);
        loop {
            let is_full = !out_of_band && state.hub.core().is_full();
            let awaited = match state.phase {
                Phase::Closed => return Err((ClientErrorKind::Closed, Awaited::Answer)),
                Phase::Reconnecting => Awaited::Connection,
                Phase::Connected if is_full => Awaited::Room,
                Phase::Connected => return Ok(()),
            };
            state.n_waiting += 1;
            match wait(&self.changed, state, deadline) {
                Ok(guard) => state = guard,
                Err(kind) => {
                    lock(&self.state).n_waiting -= 1;
                    return Err((kind, awaited));
                }
            }
            state.n_waiting -= 1;
        }
    }

    /// Waits until no other thread is writing; one may be held up by a server that does not read.
    fn turn(&self, deadline: Deadline) -> Result<Turn<'_>, (ClientErrorKind, Awaited)> {
        let mut is_taken = lock(&self.is_turn_taken);
        while *is_taken {
            let waited = wait(&self.turn_ended, is_taken, deadline);
            is_taken = waited.map_err(|kind| (kind, Awaited::Room))?;
        }
        *is_taken = true;
        Ok(Turn(self))
    }

    /// Lets those go on who wait for room.
    fn wake(&self, state: &State) {
        if state.n_waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// The time of a request is up: its answer, if it comes, is for a later question. It may have come this moment.
    pub(super) fn give_up(
        &self,
        id: u64,
        is_answered: bool,
        answers: &Answers,
        timeout: Duration,
    ) -> (Result<Answer, ClientErrorKind>, Option<LateReply>) {
        let (late, deliver) = LateReply::new();
        let mut state = lock(&self.state);
        if !is_answered {
            // Silence is success, and nothing will come.
            state.hub.forget(id, is_answered);
        } else if state.hub.defer(id, deliver) {
            self.wake(&state);
            return (Err(ClientErrorKind::TimedOut(timeout)), Some(late));
        }
        drop(state);
        let answer = answers.try_recv();
        (answer.unwrap_or(Err(ClientErrorKind::Closed)), None)
    }

    pub(super) fn send(
        &self,
        draft: &Draft,
        options: &mut CallOptions,
        deadline: Deadline,
    ) -> Result<(Encoded, Answers), ClientError> {
        let fail = |kind, awaited| {
            let request = draft.with_id(0);
            let note = match awaited {
                Awaited::Connection => lock(&self.state).trouble.clone(),
                _ => None,
            };
            let error = request.error(kind).awaiting(awaited).with_note(note);
            Err(error.of_peer(&self.peer))
        };
        let out_of_band = options.out_of_band;
        loop {
            let turn = match self
                .wait_until_admitted(out_of_band, deadline)
                .and_then(|()| self.turn(deadline))
            {
                Ok(turn) => turn,
                Err((kind, awaited)) => return fail(kind, awaited),
            };
            let mut state = lock(&self.state);
            let stream = match (state.phase, state.stream.clone()) {
                (Phase::Connected, Some(stream)) => stream,
                (Phase::Closed, _) => {
                    drop(state);
                    return fail(ClientErrorKind::Closed, Awaited::Answer);
                }
                (Phase::Reconnecting, _) | (Phase::Connected, None) => continue,
            };
            if out_of_band && !state.hub.core().oob_enabled() {
                drop(state);
                return fail(ClientErrorKind::OobNotEnabled, Awaited::Answer);
            }
            match state.hub.admit(out_of_band) {
                Admission::Full => {}
                Admission::NotReady => {
                    drop(state);
                    if let Err(kind) = self.synchronize(&turn, &stream, deadline) {
                        return fail(kind, Awaited::Room);
                    }
                }
                Admission::Now => {
                    return self.write(&turn, &stream, state, draft, options, deadline);
                }
            }
        }
    }

    /// Has the turn's holder bring a guest agent to where it takes commands again.
    fn synchronize(
        &self,
        _turn: &Turn<'_>,
        stream: &Stream,
        deadline: Deadline,
    ) -> Result<(), ClientErrorKind> {
        let mut state = lock(&self.state);
        // Somebody may have given up in the middle of it.
        let mut repeat = Instant::now();
        while state.is_connected_by(stream) && !state.hub.core().is_ready() {
            let output = state.hub.core().take_output();
            if !output.is_empty() {
                let pause = state.hub.core().sync_pause().unwrap_or_default();
                drop(state);
                if let Err(not_sent) = stream.send(&output, &[], deadline) {
                    return Err(self.write_failed(stream, not_sent, deadline));
                }
                repeat = Instant::now() + pause;
                state = lock(&self.state);
                continue;
            }
            if time_to(repeat).is_zero() {
                state.hub.core().repeat_sync();
                repeat = Instant::now() + state.hub.core().sync_pause().unwrap_or_default();
                continue;
            }
            let (until, timeout) = match deadline {
                Some((deadline, timeout)) if time_to(deadline).is_zero() => {
                    return Err(ClientErrorKind::TimedOut(timeout));
                }
                Some((deadline, timeout)) => (repeat.min(deadline), timeout),
                None => (repeat, Duration::ZERO),
            };
            state.n_waiting += 1;
            match wait(&self.changed, state, Some((until, timeout))) {
                Ok(guard) => state = guard,
                Err(_) => state = lock(&self.state),
            }
            state.n_waiting -= 1;
        }
        Ok(())
    }

    /// Writes a request, which has got its number.
    fn write(
        &self,
        _turn: &Turn<'_>,
        stream: &Stream,
        mut state: MutexGuard<'_, State>,
        draft: &Draft,
        options: &mut CallOptions,
        deadline: Deadline,
    ) -> Result<(Encoded, Answers), ClientError> {
        let (sender, answer) = mpsc::channel();
        // In the turn, so that numbers grow in the order of the stream.
        let request = draft.with_id(self.next_id.fetch_add(1, Ordering::Relaxed));
        let deliver = Box::new(move |answer| {
            // The receiver may have given up; then the answer is not waited for.
            let _ = sender.send(answer);
        });
        state.hub.sent(&request, deliver, options.following.take());
        drop(state);
        match stream.send(request.as_bytes(), &options.descriptors, deadline) {
            Ok(()) => Ok((request, answer)),
            Err(not_sent) => {
                let kind = self.write_failed(stream, not_sent, deadline);
                let error = request.error(kind).of_peer(&self.peer);
                let mut state = lock(&self.state);
                state.hub.fail(request.id, ClientErrorKind::Closed);
                self.wake(&state);
                Err(error)
            }
        }
    }

    /// Why something was not written; the connection may be over with it.
    fn write_failed(
        &self,
        stream: &Stream,
        not_sent: NotSent,
        deadline: Deadline,
    ) -> ClientErrorKind {
        let NotSent { error, is_partial } = not_sent;
        let kind = match deadline {
            Some((_, timeout)) if error.kind() == io::ErrorKind::WouldBlock => {
                ClientErrorKind::TimedOut(timeout)
            }
            _ => ClientErrorKind::not_written(error),
        };
        // After half a request there cannot be another one.
        if is_partial || matches!(kind, ClientErrorKind::Closed) {
            // The reader sees the end when it has handed on what came before it; who
            // has a request meanwhile waits for what becomes of the connection.
            stream.shut_down();
            let mut state = lock(&self.state);
            if state.is_connected_by(stream) {
                self.set_phase(&mut state, Phase::Reconnecting);
            }
        }
        kind
    }

    fn set_phase(&self, state: &mut State, phase: Phase) {
        if phase == Phase::Closed {
            state.hub.close();
            self.bell.ring();
        }
        state.phase = phase;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if state.phase == Phase::Closed {
            return;
        }
        self.set_phase(&mut state, Phase::Closed);
        if let Some(stream) = state.stream.take() {
            stream.shut_down();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.bell.ring();
        if let Some(stream) = lock(&self.state).stream.take() {
            stream.shut_down();
        }
    }
}

/// What the reader thread has.
///
/// It holds the client only while it has something to hand on, so that dropping the last client
/// closes the socket and thereby ends the thread.
struct Reader {
    inner: Weak<Inner>,
    options: Arc<ConnectOptions>,
    bell: Arc<Bell>,
    backoff: Backoff,
}

impl Reader {
    fn run(mut self, mut stream: Stream) {
        let mut buffer = vec![0; READ_SIZE];
        let mut since = Instant::now();
        loop {
            // A connection that fails ends like one that is closed: all who wait are told so.
            let count = stream.read(&mut buffer).unwrap_or(0);
            let Some(inner) = self.inner.upgrade() else {
                return;
            };
            let mut state = lock(&inner.state);
            if state.phase == Phase::Closed {
                return;
            }
            if count > 0 && state.hub.receive(&buffer[..count]).is_ok() {
                inner.wake(&state);
                continue;
            }
            stream.shut_down();
            state.stream = None;
            // Who is told of the end finds the phase that follows.
            if self.options.reconnect.is_none() || !is_lasting(&self.options.peer) {
                state.hub.lost();
                inner.set_phase(&mut state, Phase::Closed);
                return;
            }
            inner.set_phase(&mut state, Phase::Reconnecting);
            let was_answered = state.hub.lost();
            drop(state);
            drop(inner);
            self.backoff.lost(was_answered, since.elapsed());
            match self.reconnect() {
                Some(next) => stream = next,
                None => return,
            }
            since = Instant::now();
        }
    }

    /// Makes the connection again; nothing if that is the end.
    fn reconnect(&mut self) -> Option<Stream> {
        let deadline = Instant::now() + self.options.reconnect.unwrap_or_default();
        loop {
            if self.bell.wait(self.backoff.pause().min(time_to(deadline))) {
                return None;
            }
            let mut hub = Hub::new(&self.options);
            let made = open(&self.options, Duration::ZERO).and_then(|stream| {
                establish(&stream, &self.options, &mut hub)?;
                Ok(stream)
            });
            let inner = self.inner.upgrade()?;
            let mut state = lock(&inner.state);
            if state.phase == Phase::Closed {
                return None;
            }
            match made {
                Ok(stream) => {
                    state.stream = Some(stream.clone());
                    state.greeting = hub.core().greeting().cloned();
                    state.credentials = stream.credentials();
                    state.trouble = None;
                    state.hub.adopt(hub);
                    inner.set_phase(&mut state, Phase::Connected);
                    return Some(stream);
                }
                Err(error) => {
                    hub.lost();
                    state.hub.adopt(hub);
                    state.hub.not_connected(&error);
                    state.trouble = Some(error.to_string());
                    trace::not_connected(&inner.peer, &error);
                    if time_to(deadline).is_zero() {
                        inner.set_phase(&mut state, Phase::Closed);
                        return None;
                    }
                }
            }
        }
    }
}
