//! One client of a QMP monitor: a session and its connection, on the monitor's thread.

use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use iothread::{ContextError, Dispatch, MainContext, Timer};
use qapi_runtime::Error;
use qapi_runtime::dispatch::{Reply, Service};
use qapi_runtime::session::{
    Call, CallId, EventMessage, MEMORY_PATIENCE, Session, SessionConfig, SessionControl,
};

use super::call::run_on_main_loop;
use super::conversation::Conversation;
use super::{Monitor, Owner};
use crate::net::connection::{Connection, End, Limits};
use crate::net::descriptors::SessionDescriptors;
use crate::net::stream::{Endpoint, Stream};
use crate::report::report;
use crate::sync::{Level, Mutex};

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

const LIMITS: Limits = Limits {
    // The session has limits of its own.
    unsent: usize::MAX,
    n_receptions: 1,
    // Calls are short.
    watches_on: true,
};

/// How long descriptors wait for the rest of the command that they came with. A client that passes its own socket and
/// leaves in the middle of a command would keep its session alive by it.
const DESCRIPTOR_PATIENCE: Duration = Duration::from_secs(10);

/// A client and its session.
pub(super) struct Client {
    number: u64,
    monitor: Weak<Monitor>,
    main: MainContext,
    service: Arc<dyn Service>,
    descriptors: Arc<SessionDescriptors>,
    control: SessionControl,
    state: Mutex<State>,
}

struct State {
    connection: Connection<Conversation>,
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
        let session = Session::with_control(config, control.clone());
        let commands = owner.commands(&descriptors, monitor.name());
        let service = Arc::clone(&commands.service);
        let conversation = Conversation::new(session, commands, &descriptors);
        Arc::new(Self {
            number,
            monitor: Arc::downgrade(monitor),
            main: monitor.main.clone(),
            service,
            descriptors,
            control,
            state: Mutex::at(
                Level::Session,
                State {
                    connection: Connection::new(conversation, LIMITS),
                    patience: None,
                    waits_for_memory: false,
                    refusal: None,
                },
            ),
        })
    }

    /// Sends the greeting and begins to receive. On the monitor's thread.
    pub(super) fn start(self: &Arc<Self>, stream: Stream) {
        let mut state = self.state.lock();
        let Some(monitor) = self.monitor.upgrade() else {
            return;
        };
        match state.connection.attach(monitor.context(), stream, self) {
            Ok(()) => self.progress(&mut state),
            Err(error) => {
                drop(state);
                match error {
                    // The monitor is gone.
                    ContextError::Released { .. } => {}
                    error => report(&format!("cannot serve a client: {error}")),
                }
                self.forget();
            }
        }
    }

    /// Sends an event, if the session takes any.
    pub(super) fn send_event(self: &Arc<Self>, event: &EventMessage) {
        let mut state = self.state.lock();
        state.session().send_event(event);
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
        self.state.lock().connection.close();
    }

    /// Ends the session at once; on the monitor's thread.
    pub(super) fn cut_off(&self) {
        let mut state = self.state.lock();
        self.close(&mut state);
    }

    fn complete(self: &Arc<Self>, call: CallId, result: Result<Reply, Error>) {
        let mut state = self.state.lock();
        state.session().complete(call, result);
        self.progress(&mut state);
    }

    /// Goes on until the session waits for something, and arranges to be called then.
    fn progress(self: &Arc<Self>, state: &mut State) {
        self.go_on(state);
        self.see_to_rest(state);
    }

    fn go_on(self: &Arc<Self>, state: &mut State) {
        let connection = &mut state.connection;
        let end = connection.progress(|conversation, call| self.run(conversation, call));
        self.see_to_end(state, end);
    }

    fn see_to_end(&self, state: &mut State, end: Result<(), End>) {
        match end {
            Ok(()) => return,
            Err(End::Over) => {
                if let Some(protocol) = state.session().foreign_protocol() {
                    let monitor = self.monitor.upgrade();
                    let name = monitor.as_ref().map_or("", |monitor| monitor.name());
                    report(&format!(
                        "a client of the monitor '{name}' speaks {protocol} and is cut off"
                    ));
                }
            }
            // The client does not read any more, so it is not answered.
            Err(End::Broken) => {}
            Err(End::Unwatched(error)) => report(&format!("cannot watch a client: {error}")),
        }
        self.close(state);
    }

    /// Closes descriptors that will not be taken, and waits for memory if that is what keeps the session from reading.
    fn see_to_rest(self: &Arc<Self>, state: &mut State) {
        if !state.connection.protocol().holds_input() {
            self.descriptors.close_consumed();
            if !self.descriptors.has_unclaimed() {
                state.patience = None;
            }
        }
        self.see_to_memory(state);
    }

    fn see_to_memory(self: &Arc<Self>, state: &mut State) {
        let waker = Waker::from(Arc::new(Roomy(Arc::downgrade(self))));
        while state.is_short_of_memory() {
            let memory = state
                .session()
                .poll_memory(&mut Context::from_waker(&waker));
            state.waits_for_memory = memory.is_pending();
            if state.waits_for_memory {
                self.wait_for_memory(state);
                return;
            }
            self.go_on(state);
        }
        state.refusal = None;
        if std::mem::take(&mut state.waits_for_memory) {
            state.session().stop_waiting_for_memory();
        }
    }

    /// Sees to it that a value in the making does not wait for ever.
    fn wait_for_memory(self: &Arc<Self>, state: &mut State) {
        if !state.session().is_mid_value() {
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
                None => state.session().refuse_value(),
            }
        }
    }

    fn refuse_value(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.refusal = None;
        if state.session().is_short_of_memory() && state.session().is_mid_value() {
            state.session().refuse_value();
        }
        self.progress(&mut state);
    }

    fn run(self: &Arc<Self>, conversation: &mut Conversation, call: Call) {
        let client = Arc::clone(self);
        let id = call.id();
        let done = move |result| {
            let Some(monitor) = client.monitor.upgrade() else {
                return;
            };
            monitor.post(move || client.complete(id, result));
        };
        let service = Arc::clone(&self.service);
        if run_on_main_loop(&self.main, service, call, Box::new(done)).is_err() {
            let error = Error::generic("the server is shutting down");
            conversation.session().complete(id, Err(error));
        }
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
        state.connection.close();
        self.forget();
    }

    fn forget(&self) {
        if let Some(monitor) = self.monitor.upgrade() {
            monitor.remove(self.number);
        }
    }
}

impl State {
    fn session(&mut self) -> &mut Session {
        self.connection.protocol_mut().session()
    }

    /// Whether memory is what keeps the session from reading.
    fn is_short_of_memory(&self) -> bool {
        self.connection.is_open() && self.connection.protocol().is_short_of_memory()
    }
}

impl Endpoint for Client {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        let mut state = self.state.lock();
        let connection = &mut state.connection;
        let end = connection.readable(|conversation, call| self.run(conversation, call));
        self.see_to_end(&mut state, end);
        let has_descriptors = state.connection.protocol_mut().has_new_descriptors();
        self.see_to_rest(&mut state);
        if has_descriptors && self.descriptors.has_unclaimed() {
            self.lose_patience_later(&mut state);
        }
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.progress(&mut self.state.lock());
    }
}
