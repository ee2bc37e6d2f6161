//! One client of a QMP monitor: a session and its connection, on the monitor's thread.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use iothread::{Interest, MainContext, Timer};
use qapi_runtime::Error;
use qapi_runtime::dispatch::Reply;
use qapi_runtime::session::{
    Call, CallId, EventMessage, MEMORY_PATIENCE, Session, SessionConfig, SessionControl,
};

use super::call::{SessionCommands, run_on_main_loop};
use super::{Monitor, Owner};
use crate::net::descriptors::SessionDescriptors;
use crate::net::stream::{Endpoint, Stream, Watches};
use crate::report::report;
use crate::sync::Mutex;

/// Is woken when there is memory for a session.
struct Roomy(Weak<Client>);

impl Wake for Roomy {
    fn wake(self: Arc<Self>) {
        if let Some(client) = self.0.upgrade()
            && let Some(monitor) = client.monitor.upgrade()
        {
            monitor.post(move || client.progress(&mut client.state.lock()));
        }
    }
}

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 16 << 10;

/// How long descriptors wait for the rest of the command that they came with. A client that passes its own socket and
/// leaves in the middle of a command would keep its session alive by it.
const DESCRIPTOR_PATIENCE: Duration = Duration::from_secs(10);

/// A client and its session.
pub(super) struct Client {
    number: u64,
    monitor: Weak<Monitor>,
    main: MainContext,
    commands: SessionCommands,
    descriptors: Arc<SessionDescriptors>,
    control: SessionControl,
    state: Mutex<State>,
}

struct State {
    session: Session,
    /// `None` before the start and after the end.
    connection: Option<(Stream, Watches)>,
    buffer: Box<[u8]>,
    /// The part of the buffer that the session has not taken yet.
    pending: Range<usize>,
    /// Closes descriptors that no command takes in time; there as long as some wait.
    patience: Option<Timer>,
    /// Whether it waits for memory.
    waits_for_memory: bool,
    /// Refuses a value for which there is no memory in time.
    refusal: Option<Timer>,
}

impl Client {
    pub(super) fn new(
        monitor: &Arc<Monitor>,
        owner: &dyn Owner,
        number: u64,
        config: SessionConfig,
    ) -> Arc<Self> {
        let descriptors = Arc::new(SessionDescriptors::default());
        let control = SessionControl::default();
        Arc::new(Self {
            number,
            monitor: Arc::downgrade(monitor),
            main: monitor.main.clone(),
            commands: owner.commands(&descriptors, monitor.name()),
            descriptors,
            control: control.clone(),
            state: Mutex::new(State {
                session: Session::with_control(config, control),
                connection: None,
                buffer: vec![0; RECEIVE_SIZE].into(),
                pending: 0..0,
                patience: None,
                waits_for_memory: false,
                refusal: None,
            }),
        })
    }

    /// Sends the greeting and begins to receive. On the monitor's thread.
    pub(super) fn start(self: &Arc<Self>, stream: Stream) {
        let mut state = self.state.lock();
        let monitor = self.monitor.upgrade();
        let Some(watches) = monitor.and_then(|monitor| monitor.watch(&stream, self)) else {
            drop(state);
            self.forget();
            return;
        };
        match watches {
            Ok(watches) => {
                state.connection = Some((stream, watches));
                self.progress(&mut state);
            }
            Err(error) => {
                drop(state);
                report(&format!("cannot serve a client: {error}"));
                self.forget();
            }
        }
    }

    /// Sends an event, if the session takes any.
    pub(super) fn send_event(self: &Arc<Self>, event: &EventMessage) {
        let mut state = self.state.lock();
        state.session.send_event(event);
        self.progress(&mut state);
    }

    /// Ends the session once its replies are sent.
    pub(super) fn finish(self: &Arc<Self>) {
        let mut state = self.state.lock();
        self.control.quit();
        self.progress(&mut state);
    }

    /// Ends the session at once; from any thread.
    pub(super) fn abandon(&self) {
        let connection = self.state.lock().connection.take();
        if let Some((stream, watches)) = connection {
            drop(watches);
            stream.close();
        }
    }

    /// Ends the session at once; on the monitor's thread.
    pub(super) fn cut_off(&self) {
        let mut state = self.state.lock();
        self.close(&mut state);
    }

    fn complete(self: &Arc<Self>, call: CallId, result: Result<Reply, Error>) {
        let mut state = self.state.lock();
        state.session.complete(call, result);
        self.progress(&mut state);
    }

    /// Goes on until the session waits for something, and arranges to be called then.
    fn progress(self: &Arc<Self>, state: &mut State) {
        self.go_on(state);
        if state.pending.is_empty() && !state.session.holds_input() {
            self.descriptors.close_consumed();
            if !self.descriptors.has_unclaimed() {
                state.patience = None;
            }
        }
        self.see_to_memory(state);
    }

    /// Waits for memory if that is what keeps the session from reading.
    fn see_to_memory(self: &Arc<Self>, state: &mut State) {
        let waker = Waker::from(Arc::new(Roomy(Arc::downgrade(self))));
        while state.is_short_of_memory() {
            let memory = state.session.poll_memory(&mut Context::from_waker(&waker));
            state.waits_for_memory = memory.is_pending();
            if state.waits_for_memory {
                self.wait_for_memory(state);
                return;
            }
            self.go_on(state);
        }
        state.refusal = None;
        if std::mem::take(&mut state.waits_for_memory) {
            state.session.stop_waiting_for_memory();
        }
    }

    /// Sees to it that a value in the making does not wait for ever.
    fn wait_for_memory(self: &Arc<Self>, state: &mut State) {
        if !state.session.is_mid_value() {
            state.refusal = None;
        } else if state.refusal.is_none() {
            // Others may hold theirs for as long as they like.
            let client = Arc::downgrade(self);
            let refuse = move || {
                if let Some(client) = client.upgrade() {
                    client.refuse_value();
                }
            };
            let monitor = self.monitor.upgrade();
            state.refusal = monitor.and_then(|monitor| monitor.timer(refuse));
            match &state.refusal {
                Some(timer) => timer.arm_after(MEMORY_PATIENCE),
                // Without a timer there is no waiting.
                None => state.session.refuse_value(),
            }
        }
    }

    fn refuse_value(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.refusal = None;
        if state.session.is_short_of_memory() && state.session.is_mid_value() {
            state.session.refuse_value();
        }
        self.progress(&mut state);
    }

    fn go_on(self: &Arc<Self>, state: &mut State) {
        loop {
            self.advance(state);
            let Some((stream, _)) = &state.connection else {
                return;
            };
            let n_unsent = state.session.output().len();
            if send_output(&mut state.session, stream).is_err() {
                // Nobody reads any more, so there is nobody to answer.
                self.close(state);
                return;
            }
            // What has been sent may have made room for more, be it input or what the session has queued.
            if state.session.output().len() == n_unsent {
                break;
            }
        }
        if state.session.is_finished() {
            if let Some(protocol) = state.session.foreign_protocol() {
                let monitor = self.monitor.upgrade();
                let name = monitor.as_ref().map_or("", |monitor| monitor.name());
                report(&format!(
                    "a client of the monitor '{name}' speaks {protocol} and is cut off"
                ));
            }
            self.close(state);
            return;
        }
        let wants_input = state.session.wants_input() && state.pending.is_empty();
        let has_output = !state.session.output().is_empty();
        let Some((_, watches)) = &mut state.connection else {
            return;
        };
        // A session that waits for a call is likely to want input again soon, which is not worth two system calls.
        // Input that comes nevertheless ends the watching, see `readable`.
        let reads = watches.wanted().contains(Interest::READ);
        let interest = Interest::READ.when(wants_input || (reads && !has_output))
            | Interest::WRITE.when(has_output);
        if let Err(error) = watches.set(interest) {
            report(&format!("cannot watch a client: {error}"));
            self.close(state);
        }
    }

    /// Gives the session what has been received, and runs what it asks for.
    fn advance(self: &Arc<Self>, state: &mut State) {
        let State {
            session,
            buffer,
            pending,
            ..
        } = state;
        let commands = &self.commands;
        let mut input = &buffer[pending.clone()];
        while let Some(call) = session.advance(&mut input, &*commands.service, commands.runs_inline)
        {
            let id = call.id();
            if self.run(call).is_err() {
                session.complete(id, Err(Error::generic("the server is shutting down")));
            }
        }
        pending.start = pending.end - input.len();
    }

    fn run(self: &Arc<Self>, call: Call) -> Result<(), iothread::ContextError> {
        let client = Arc::clone(self);
        let id = call.id();
        let done = move |result| {
            let Some(monitor) = client.monitor.upgrade() else {
                return;
            };
            monitor.post(move || client.complete(id, result));
        };
        let service = Arc::clone(&self.commands.service);
        run_on_main_loop(&self.main, service, call, Box::new(done))
    }

    /// Sees to it that what came now does not wait for ever.
    fn lose_patience_later(self: &Arc<Self>, state: &mut State) {
        let client = Arc::downgrade(self);
        let close = move || {
            if let Some(client) = client.upgrade() {
                client.descriptors.close_unclaimed();
            }
        };
        let monitor = self.monitor.upgrade();
        match monitor.and_then(|monitor| monitor.timer(close)) {
            Some(timer) => {
                timer.arm_after(DESCRIPTOR_PATIENCE);
                state.patience = Some(timer);
            }
            // Without a timer there is no waiting.
            None => self.descriptors.close_unclaimed(),
        }
    }

    fn close(&self, state: &mut State) {
        if let Some((stream, watches)) = state.connection.take() {
            drop(watches);
            stream.close();
        }
        self.forget();
    }

    fn forget(&self) {
        if let Some(monitor) = self.monitor.upgrade() {
            monitor.remove(self.number);
        }
    }
}

impl State {
    /// Whether memory is what keeps the session from reading.
    fn is_short_of_memory(&self) -> bool {
        self.connection.is_some() && self.pending.is_empty() && self.session.is_short_of_memory()
    }
}

/// Sends what the session has to send, as far as the connection takes it.
fn send_output(session: &mut Session, stream: &Stream) -> io::Result<()> {
    while !session.output().is_empty() {
        match stream.send(session.output()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => session.consume_output(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Endpoint for Client {
    fn readable(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let reads = state.session.wants_input();
        let State {
            session,
            connection: Some((stream, watches)),
            buffer,
            pending,
            ..
        } = &mut *state
        else {
            return;
        };
        if !reads || !Range::is_empty(pending) {
            if stream.peer_is_gone() {
                // What it has sent is carried out, and nobody waits for the replies.
                self.close(&mut state);
                return;
            }
            let interest = Interest::WRITE.when(!session.output().is_empty());
            if watches.set(interest).is_err() {
                self.close(&mut state);
            }
            // Others may have taken what there was.
            self.see_to_memory(&mut state);
            return;
        }
        let mut received = Vec::new();
        match stream.receive(buffer, &mut received) {
            Ok(0) => session.end_of_input(),
            Ok(count) => *pending = 0..count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            // The peer is gone in a hard way.
            Err(_) => session.end_of_input(),
        }
        let has_descriptors = !received.is_empty();
        self.descriptors
            .received(received, &buffer[pending.clone()]);
        self.progress(&mut state);
        if has_descriptors && self.descriptors.has_unclaimed() {
            self.lose_patience_later(&mut state);
        }
    }

    fn writable(self: &Arc<Self>) {
        self.progress(&mut self.state.lock());
    }
}
