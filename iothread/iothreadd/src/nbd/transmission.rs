//! One connection that uses an export, on an IOThread of it.
//!
//! All requests that have come are started in the order in which they came; those that had to wait are answered when they
//! are done, so replies overtake each other. Replies of one round of the loop go out together.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use iothread::{Clock, ContextError, Dispatch, OnMain, SharedContext, Timer};
use qapi_runtime::budget::Member;

use super::exchange::{ENOUGH_OUTPUT, Exchange, Taken};
use super::export::{Client, NbdExport};
use super::offer::Choice;
use super::places::Ticket;
use super::protocol::command_flag;
use super::request::Header;
use crate::block::{Operation, Outcome, Pending, Request, Started};
use crate::budgets::{Allowance, Room};
use crate::export::{Export, go_over};
use crate::finally::Finally;
use crate::net::connection::{Connection, End, Limits};
use crate::net::protocol::{Outgoing as _, Protocol as _};
use crate::net::stream::{Endpoint, Stream};
use crate::sync::{Level, Mutex};

const LIMITS: Limits = Limits {
    unsent: ENOUGH_OUTPUT,
    // What has come is taken as long as there is room for it; see `round`.
    n_receptions: usize::MAX,
    watches_on: false,
};

/// The most requests that one worker is given together.
const MAX_TOGETHER: usize = 16;

/// How long a client may take nothing of its last replies once everything else is over.
const LINGER: Duration = Duration::from_secs(2);

/// A client that uses an export.
pub(super) struct Transmission {
    number: u64,
    export: Arc<NbdExport>,
    stream: Stream,
    room: Arc<Room>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the connection is closed.
    place: Option<Running>,
    connection: Connection<Exchange<NbdExport>>,
    /// Requests of this round that are handed to a worker together.
    quick: Vec<(Header, Pending)>,
    /// Whether the export is going, and the connection with it.
    ending: Option<Ending>,
}

/// Where a connection runs; it is a client as long as it has this.
struct Running {
    context: SharedContext,
    /// How many times it is still to enter it: once at the start, and after each move. Only the last of them counts.
    n_coming: usize,
    _ticket: Ticket,
}

/// The end of a connection that is meant: what has come is still answered.
struct Ending {
    /// Ends the patience with a client that takes no replies.
    linger: Option<Timer>,
    /// Kept until the connection is over.
    _closed: Finally,
}

impl Transmission {
    /// Begins to serve a client that has chosen an export. `rest` is what it has sent already, and what it is to receive
    /// first.
    pub(super) fn start(
        main: OnMain<'_>,
        choice: Choice<NbdExport>,
        stream: Stream,
        ticket: Ticket,
        member: Member,
        rest: (&[u8], Vec<u8>),
    ) {
        let (input, output) = rest;
        let export = Arc::clone(&choice.export);
        // An export that is going, or gone, takes no request any more.
        let context = export.common().next_context();
        let Some(context) = context.filter(|_| !export.common().is_shutting_down()) else {
            return;
        };
        let transmission = Arc::new_cyclic(|this: &Weak<Self>| {
            let room = Room::new({
                let waiting = Weak::clone(this);
                move || {
                    if let Some(transmission) = waiting.upgrade() {
                        transmission.progress(false);
                    }
                }
            });
            let waker = Waker::from(Arc::clone(&room));
            let exchange = Exchange::new(choice, Allowance::new(member), waker, input, output);
            Self {
                number: export.next_number(),
                export: Arc::clone(&export),
                stream,
                room,
                state: Mutex::at(
                    Level::Peer,
                    State {
                        place: Some(Running {
                            context,
                            n_coming: 1,
                            _ticket: ticket,
                        }),
                        connection: Connection::new(exchange, LIMITS),
                        quick: Vec::new(),
                        ending: None,
                    },
                ),
            }
        });
        let client: Arc<dyn Client> = Arc::<Self>::clone(&transmission);
        export.add(main, transmission.number, client);
        transmission.enter();
    }

    /// Begins to run where it is to be, unless it is to go on from there: watches the socket there, and looks at what is there
    /// already.
    fn enter(self: &Arc<Self>) {
        let entered = {
            let mut state = self.state.lock();
            let State {
                place: Some(place),
                connection,
                ..
            } = &mut *state
            else {
                return;
            };
            place.n_coming -= 1;
            if place.n_coming > 0 {
                return;
            }
            self.run_on(&place.context, connection)
        };
        if entered.is_err() {
            self.end();
        }
    }

    fn run_on(
        self: &Arc<Self>,
        context: &SharedContext,
        connection: &mut Connection<Exchange<NbdExport>>,
    ) -> Result<(), ContextError> {
        connection.attach(context, self.stream.clone(), self)?;
        self.room.enter(context);
        let entered = Arc::clone(self);
        context.post(move |_| entered.progress(false))
    }

    fn leave(&self, state: &mut State) {
        let place = state.place.take();
        state.connection.detach();
        self.room.leave();
        state.connection.protocol_mut().give_up();
        state.quick.clear();
        if place.is_some() {
            // The peer is told even though completions may keep the socket for a while.
            self.stream.disconnect();
        }
        drop(place);
    }

    /// Does all that can be done now: receives if the socket may have something, starts requests, sends replies.
    pub(super) fn progress(self: &Arc<Self>, is_readable: bool) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.place.is_none() {
            return;
        }
        if self.round(state, is_readable).is_err() {
            drop(guard);
            self.end();
        }
    }

    /// Takes requests as long as there are some and there is room for them, and does what follows from them.
    fn round(self: &Arc<Self>, state: &mut State, mut is_readable: bool) -> Result<(), End> {
        loop {
            while let Some(taken) = state.connection.next_event() {
                self.take(state, taken);
            }
            if !is_readable || !state.connection.wants_input() {
                break;
            }
            is_readable = state.connection.receive();
        }
        self.submit_together(state);
        let was_full = state.connection.is_full();
        let has_taken = state.connection.flush()?;
        self.linger(state, has_taken)?;
        if let Some(place) = &state.place
            && was_full
            && !state.connection.is_full()
        {
            // What there is no room for has another turn; the socket does not know of what has been received already.
            let next = Arc::clone(self);
            let posted = place.context.post(move |_| next.progress(false));
            posted.map_err(End::Unwatched)?;
        }
        state.connection.watch()
    }

    /// Ends the patience with a client that is to be disconnected and does not take its last replies.
    fn linger(self: &Arc<Self>, state: &mut State, has_taken: bool) -> Result<(), End> {
        let exchange = state.connection.protocol_mut();
        let is_last = exchange.n_waiting() == 0 && exchange.output().len() > 0;
        let (Some(ending), Some(place)) = (&mut state.ending, &state.place) else {
            return Ok(());
        };
        if !is_last || has_taken {
            ending.linger = None;
        }
        if is_last && ending.linger.is_none() {
            let late = Arc::downgrade(self);
            let timer = place.context.timer(Clock::Monotonic, move |_| {
                if let Some(late) = late.upgrade() {
                    late.end();
                }
            });
            let timer = timer.map_err(End::Unwatched)?;
            timer.arm_after(LINGER);
            ending.linger = Some(timer);
        }
        Ok(())
    }

    /// Begins with a request.
    fn take(self: &Arc<Self>, state: &mut State, taken: Taken) {
        let is_writethrough = self.export.common().is_writethrough();
        let fua = |header: &Header| header.has(command_flag::FUA) || is_writethrough;
        match taken {
            Taken::Write(header, data) => {
                let fua = fua(&header);
                self.submit(state, header, Operation::Write { data, fua });
            }
            Taken::Other(header) => {
                let memory = state.connection.protocol_mut().memory();
                let operation = header.operation(fua(&header), memory);
                self.submit(state, header, operation);
            }
        }
    }

    /// Starts a request.
    fn submit(self: &Arc<Self>, state: &mut State, header: Header, operation: Operation) {
        let Some(place) = &state.place else {
            return;
        };
        let request = Request {
            // A flush has no range.
            offset: if matches!(operation, Operation::Flush) {
                0
            } else {
                header.offset
            },
            operation,
        };
        let exchange = state.connection.protocol_mut();
        match self.export.common().backend().start(request) {
            Started::Done(outcome) => exchange.reply(&header, outcome),
            Started::Waiting(pending) => {
                exchange.wait(&header);
                if pending.is_quick() {
                    state.quick.push((header, pending));
                    if state.quick.len() == MAX_TOGETHER {
                        self.submit_together(state);
                    }
                    return;
                }
                let waiting = Arc::clone(self);
                let done = move |_: &mut Dispatch<'_>, outcome| {
                    waiting.complete([(header, outcome)]);
                };
                if pending.finish(&place.context, done).is_err() {
                    exchange.abandon(&header);
                }
            }
        }
    }

    /// Hands the quick requests over.
    fn submit_together(self: &Arc<Self>, state: &mut State) {
        let (headers, pending): (Vec<_>, Vec<_>) = state.quick.drain(..).unzip();
        let Some(place) = state.place.as_ref().filter(|_| !headers.is_empty()) else {
            return;
        };
        let waiting = Arc::clone(self);
        let requests = headers.clone();
        let done = move |_: &mut Dispatch<'_>, outcomes| {
            waiting.complete(requests.into_iter().zip(outcomes));
        };
        if Pending::finish_together(pending, &place.context, done).is_err() {
            for header in &headers {
                state.connection.protocol_mut().abandon(header);
            }
        }
    }

    /// Requests that had to wait are done.
    fn complete(self: &Arc<Self>, done: impl IntoIterator<Item = (Header, Outcome)>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let exchange = state.connection.protocol_mut();
        if state.place.is_none() {
            done.into_iter()
                .for_each(|(header, _)| exchange.forget(&header));
            return;
        }
        for (header, outcome) in done {
            exchange.stop_waiting(&header);
            exchange.reply(&header, outcome);
        }
        if self.round(state, false).is_err() {
            drop(guard);
            self.end();
        }
    }
}

impl Client for Transmission {
    fn finish(self: Arc<Self>, _: OnMain<'_>, closed: &Finally) {
        {
            let mut state = self.state.lock();
            if state.place.is_none() || state.ending.is_some() {
                return;
            }
            // What comes later was not asked for in time.
            let arrived = self.stream.n_arrived();
            state.connection.protocol_mut().end_after(arrived);
            state.ending = Some(Ending {
                linger: None,
                _closed: closed.clone(),
            });
        }
        self.progress(true);
    }

    fn end(&self) {
        let ending = {
            let mut state = self.state.lock();
            self.leave(&mut state);
            state.ending.take()
        };
        self.export.remove(self.number);
        drop(ending);
    }

    fn follow(self: Arc<Self>, main: OnMain<'_>, moved: &Finally) {
        let Some(context) = self.export.common().next_context() else {
            return;
        };
        let leave = || {
            let mut state = self.state.lock();
            let state = &mut *state;
            let place = state.place.as_mut()?;
            // The handler may be running at this moment.
            state.connection.detach();
            self.room.leave();
            place.n_coming += 1;
            Some(std::mem::replace(&mut place.context, context))
        };
        let entering = Arc::clone(&self);
        go_over(main, moved, leave, move || entering.enter());
    }
}

impl Endpoint for Transmission {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.progress(true);
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.progress(false);
    }
}
