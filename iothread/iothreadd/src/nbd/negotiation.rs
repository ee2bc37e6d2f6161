//! The haggling with one client, on the main loop.

use std::sync::Arc;
use std::time::Duration;

use iothread::{Clock, Dispatch, OnMain, Timer};
use qapi_runtime::budget::Budget;

use super::export::NbdExport;
use super::haggling::Haggling;
use super::offer::{Choice, Offers};
use super::places::Ticket;
use super::transmission::Transmission;
use crate::net::connection::{Connection, Limits};
use crate::net::stream::{Endpoint, Stream};
use crate::sync::{Level, Mutex};

/// The next option waits until the answer to the last one is sent.
const LIMITS: Limits = Limits {
    unsent: 1,
    n_receptions: 1,
    watches_on: false,
};

/// A client that has not chosen an export yet.
pub(super) struct Negotiation {
    /// The memory that all clients share.
    budget: Budget,
    over: Box<Over>,
    /// Gone once the haggling is over.
    state: Mutex<Option<State>>,
}

/// Is told when the haggling is over, unless it is closed.
type Over = dyn Fn() + Send + Sync;

struct State {
    connection: Connection<Haggling<NbdExport>>,
    ticket: Ticket,
    /// Ends it.
    timer: Option<Timer>,
}

impl Negotiation {
    pub(super) fn new(
        offers: &Arc<Offers<NbdExport>>,
        budget: &Budget,
        ticket: Ticket,
        over: Box<Over>,
    ) -> Arc<Self> {
        let haggling = Haggling::new(Arc::<Offers<NbdExport>>::clone(offers));
        Arc::new(Self {
            budget: budget.clone(),
            over,
            state: Mutex::at(
                Level::Peer,
                Some(State {
                    connection: Connection::new(haggling, LIMITS),
                    ticket,
                    timer: None,
                }),
            ),
        })
    }

    /// Sends the greeting, and begins to listen.
    pub(super) fn start(
        self: &Arc<Self>,
        main: OnMain<'_>,
        stream: Stream,
        limit: Option<Duration>,
    ) {
        let is_started = match &mut *self.state.lock() {
            Some(state) => {
                // Without being watched, or without a limit, the client would stay for ever.
                state
                    .connection
                    .attach(main.context(), stream, self)
                    .is_ok()
                    && limit.is_none_or(|limit| self.limit(state, main, limit))
            }
            None => return,
        };
        match is_started {
            true => self.progress(main),
            false => self.end(),
        }
    }

    /// Ends it after a time. Returns whether that is possible.
    fn limit(self: &Arc<Self>, state: &mut State, main: OnMain<'_>, limit: Duration) -> bool {
        let late = Arc::downgrade(self);
        let timer = main.context().timer(Clock::Monotonic, move |_| {
            if let Some(late) = late.upgrade() {
                late.end();
            }
        });
        state.timer = timer.ok();
        if let Some(timer) = &state.timer {
            timer.arm_after(limit);
        }
        state.timer.is_some()
    }

    /// Disconnects the client.
    pub(super) fn close(&self) {
        let state = self.state.lock().take();
        drop(state);
    }

    /// Disconnects the client, which the server forgets.
    fn end(&self) {
        self.close();
        (self.over)();
    }

    /// Answers what has come, and sends what can be sent.
    fn progress(&self, main: OnMain<'_>) {
        let mut guard = self.state.lock();
        let Some(state) = &mut *guard else {
            return;
        };
        let connection = &mut state.connection;
        let is_over = loop {
            if let Some(choice) = connection.next_event() {
                let state = guard.take();
                drop(guard);
                if let Some(state) = state {
                    self.choose(main, state, choice);
                }
                return;
            }
            match connection.flush() {
                // What has been sent has made room for the next answer.
                Ok(true) => {}
                Ok(false) => break connection.watch().is_err(),
                Err(_) => break true,
            }
        };
        drop(guard);
        if is_over {
            self.end();
        }
    }

    /// The client uses an export from now on, elsewhere.
    fn choose(&self, main: OnMain<'_>, state: State, choice: Choice<NbdExport>) {
        let State {
            mut connection,
            ticket,
            timer,
        } = state;
        drop(timer);
        // The descriptor must not be watched here any more when it is watched there.
        let stream = connection.detach();
        let (input, output) = connection.into_protocol().into_rest();
        (self.over)();
        if let Some(stream) = stream {
            let member = self.budget.join();
            Transmission::start(main, choice, stream, ticket, member, (&input, output));
        }
    }
}

impl Endpoint for Negotiation {
    fn readable(self: &Arc<Self>, dispatch: &Dispatch<'_>) {
        if let Some(state) = &mut *self.state.lock() {
            state.connection.receive();
        }
        self.writable(dispatch);
    }

    fn writable(self: &Arc<Self>, dispatch: &Dispatch<'_>) {
        // It is not started elsewhere.
        if let Some(main) = dispatch.on_main() {
            self.progress(main);
        }
    }
}
