//! One connection that uses an export, on an IOThread of it.
//!
//! All requests that have come are started in the order in which they came; those that had to wait are answered when they
//! are done, so replies overtake each other. Replies of one round of the loop go out together.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use iothread::{
    Clock, ContextError, Dispatch, FdDispatch, FdWatch, Interest, OnMain, SharedContext,
    SharedFdHandler,
};
use qapi_runtime::budget::Member;
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{Shutdown, shutdown};

use super::clients::Ticket;
use super::handshake::Choice;
use super::protocol::{REQUEST_SIZE, command, command_flag};
use super::receiving::{Broken, Ending, Receiving, receive_into};
use super::reply::Replies;
use super::request::{Header, Refusal};
use crate::block::{Operation, Outcome, Pending, Request, Started};
use crate::budgets::{Allowance, Room};
use crate::export::{Export, go_over};
use crate::finally::Finally;
use crate::sync::Mutex;

/// Bytes received at a time, beside the data of a write.
const INPUT_SIZE: usize = 64 << 10;

/// The most requests of a connection that wait at the same time.
const MAX_WAITING: usize = 128;

/// The most requests that one worker is given together.
const MAX_TOGETHER: usize = 16;

/// With so many bytes of requests that wait, no more are taken: two of the largest.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// With so many bytes to be sent, they are sent first: a client should not keep others on the thread waiting for longer,
/// and one that does not read is not read from.
const ENOUGH_OUTPUT: usize = 1 << 20;

/// How long a client may take nothing of its last replies once everything else is over.
const LINGER: Duration = Duration::from_secs(2);

/// A client that uses an export.
pub(super) struct Connection {
    number: u64,
    choice: Choice,
    socket: Arc<OwnedFd>,
    room: Arc<Room>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the connection is closed.
    place: Option<Place>,
    /// What has been received and not been looked at yet: the part of the buffer between the two.
    input: Box<[u8]>,
    input_start: usize,
    input_end: usize,
    receiving: Receiving,
    replies: Replies,
    n_waiting: usize,
    /// Bytes of requests that wait.
    waiting_bytes: usize,
    /// Whether the next request waits for memory.
    is_starved: bool,
    /// Requests of this round that are handed to a worker together.
    quick: Vec<(Header, Pending)>,
    /// Whether the export is going, and the connection with it.
    ending: Option<Ending>,
}

/// Where a connection runs; it is a client as long as it has this.
struct Place {
    context: SharedContext,
    watch: Option<FdWatch>,
    _ticket: Ticket,
}

impl Connection {
    /// Begins to serve a client that has chosen an export; on the main loop. `input` is what it has sent already, `output`
    /// what it is to receive first.
    pub(super) fn start(
        choice: Choice,
        socket: Arc<OwnedFd>,
        ticket: Ticket,
        member: Member,
        input: Vec<u8>,
        output: Vec<u8>,
    ) {
        let export = Arc::clone(&choice.export);
        // An export that is going, or gone, serves nobody any more.
        let context = export.common().next_context();
        let Some(context) = context.filter(|_| !export.common().is_shutting_down()) else {
            return;
        };
        let mut replies = Replies::new(Allowance::new(member));
        replies.raw(output);
        let mut buffer = vec![0; INPUT_SIZE.max(input.len())];
        buffer[..input.len()].copy_from_slice(&input);
        let connection = Arc::new_cyclic(|this: &Weak<Self>| Self {
            number: export.next_number(),
            choice,
            socket,
            room: Room::new({
                let waiting = Weak::clone(this);
                move || {
                    if let Some(connection) = waiting.upgrade() {
                        connection.progress(false);
                    }
                }
            }),
            state: Mutex::new(State {
                place: Some(Place {
                    context: context.clone(),
                    watch: None,
                    _ticket: ticket,
                }),
                input: buffer.into(),
                input_start: 0,
                input_end: input.len(),
                receiving: Receiving::Header,
                replies,
                n_waiting: 0,
                waiting_bytes: 0,
                is_starved: false,
                quick: Vec::new(),
                ending: None,
            }),
        });
        export.add(&connection);
        if connection.enter(&context).is_err() {
            connection.end();
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Begins to run on a context: watches the socket there, and looks at what is there already.
    fn enter(self: &Arc<Self>, context: &SharedContext) -> Result<(), ContextError> {
        let watch = context.add_fd(Arc::clone(&self.socket), Interest::READ, Arc::clone(self))?;
        let mut state = self.state.lock();
        if let Some(place) = &mut state.place {
            place.watch = Some(watch);
            self.room.enter(context);
        }
        drop(state);
        let entered = Arc::clone(self);
        context.post(move |_| entered.progress(false))
    }

    /// Goes where the export is now.
    pub(super) fn follow(self: &Arc<Self>, main: OnMain<'_>) {
        let Some(context) = self.choice.export.common().next_context() else {
            return;
        };
        let leave = || {
            let mut state = self.state.lock();
            let place = state.place.as_mut()?;
            // The handler may be running at this moment.
            drop(place.watch.take());
            self.room.leave();
            Some(std::mem::replace(&mut place.context, context.clone()))
        };
        go_over(main, leave, || {
            if self.enter(&context).is_err() {
                self.end();
            }
        });
    }

    /// Begins to disconnect the client: what it has asked for so far is still answered. Keeps `closed` until that is done;
    /// on the main loop.
    pub(super) fn finish(self: &Arc<Self>, closed: &Finally) {
        {
            let mut state = self.state.lock();
            if state.place.is_none() || state.ending.is_some() {
                return;
            }
            // What comes later was not asked for in time. A socket that cannot tell has nothing.
            let arrived = ioctl_fionread(&*self.socket).unwrap_or(0);
            state.ending = Some(Ending {
                arrived: usize::try_from(arrived).unwrap_or(usize::MAX),
                linger: None,
                _closed: closed.clone(),
            });
        }
        self.progress(true);
    }

    /// The connection is over, whatever it has under way; on any thread. Nothing of it uses its context afterwards.
    pub(super) fn end(&self) {
        let ending = {
            let mut state = self.state.lock();
            self.leave(&mut state);
            state.ending.take()
        };
        self.choice.export.remove(self.number);
        drop(ending);
    }

    fn leave(&self, state: &mut State) {
        let place = state.place.take();
        self.room.leave();
        state.receiving = Receiving::Ended;
        // What workers have is still there.
        let reserved = state.waiting_bytes;
        state.replies.clear(reserved);
        state.quick.clear();
        if place.is_some() {
            // The peer is told even though completions may keep the socket for a while. One that has gone knows.
            let _ = shutdown(&*self.socket, Shutdown::Both);
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

    /// Takes requests, and does what follows from them. What there is no room for has another turn.
    fn round(self: &Arc<Self>, state: &mut State, is_readable: bool) -> Result<(), Broken> {
        self.take_requests(state, is_readable)?;
        let was_full = !state.wants_input();
        self.settle(state)?;
        let is_left = state.input_start < state.input_end;
        if let Some(place) = &state.place
            && was_full
            && is_left
            && state.wants_input()
        {
            // The socket does not know of what has been received already.
            let next = Arc::clone(self);
            let posted = place.context.post(move |_| next.progress(false));
            posted.map_err(|_| Broken)?;
        }
        Ok(())
    }

    /// Ends a round: hands over what was put aside, sends replies, and waits for what the connection needs next.
    fn settle(self: &Arc<Self>, state: &mut State) -> Result<(), Broken> {
        self.submit_together(state);
        let n_unsent = state.replies.len();
        state.replies.flush(&self.socket).map_err(|_| Broken)?;
        let has_output = state.replies.len() > 0;
        if matches!(state.receiving, Receiving::Ended) && state.n_waiting == 0 && !has_output {
            return Err(Broken);
        }
        self.linger(state, state.replies.len() < n_unsent)?;
        let interest = Interest::READ.when(state.wants_bytes()) | Interest::WRITE.when(has_output);
        let watch = state.place.as_ref().and_then(|place| place.watch.as_ref());
        match watch {
            Some(watch) => watch.set_interest(interest).map_err(|_| Broken),
            None => Ok(()),
        }
    }

    /// Ends the patience with a client that is to be disconnected and does not take its last replies.
    fn linger(self: &Arc<Self>, state: &mut State, has_taken: bool) -> Result<(), Broken> {
        let is_last = state.n_waiting == 0 && state.replies.len() > 0;
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
            let timer = timer.map_err(|_| Broken)?;
            timer.arm_after(LINGER);
            ending.linger = Some(timer);
        }
        Ok(())
    }

    /// Starts the requests that are there, and receives more as long as that makes sense.
    fn take_requests(
        self: &Arc<Self>,
        state: &mut State,
        mut is_readable: bool,
    ) -> Result<(), Broken> {
        state.is_starved = false;
        loop {
            while state.wants_input() && self.take_request(state)? {}
            if state.wants_input() && !state.wants_bytes() {
                // What is left is part of a request.
                state.receiving = Receiving::Ended;
            }
            if !is_readable || !state.wants_bytes() {
                return Ok(());
            }
            is_readable = self.receive(state)?;
        }
    }

    /// Receives what there is. Returns whether there may be more.
    fn receive(&self, state: &mut State) -> Result<bool, Broken> {
        let limit = state.ending.as_ref().map(|ending| ending.arrived);
        if let Receiving::Payload { data, filled, .. } = &mut state.receiving {
            // All input is used up, so the rest goes where it belongs.
            let received = receive_into(&self.socket, &mut data[*filled..], limit)?;
            *filled += received.count;
            if received.is_end {
                state.receiving = Receiving::Ended;
            }
            state.note_received(received.count);
            return Ok(received.may_be_more);
        }
        state
            .input
            .copy_within(state.input_start..state.input_end, 0);
        state.input_end -= state.input_start;
        state.input_start = 0;
        let received = receive_into(&self.socket, &mut state.input[state.input_end..], limit)?;
        state.input_end += received.count;
        state.note_received(received.count);
        if received.is_end {
            state.receiving = Receiving::Ended;
        }
        Ok(received.may_be_more)
    }

    /// Starts the next request if all of it is there. Returns whether it has made progress.
    fn take_request(self: &Arc<Self>, state: &mut State) -> Result<bool, Broken> {
        let input = &state.input[state.input_start..state.input_end];
        match &mut state.receiving {
            Receiving::Header => {
                let Some(bytes) = input.first_chunk::<REQUEST_SIZE>() else {
                    return Ok(false);
                };
                let header = Header::read(bytes).ok_or(Broken)?;
                let checked = match header.command {
                    command::DISC => Ok(()),
                    _ => header.check(&self.choice),
                };
                let needed = checked.map_or(0, |()| header.memory());
                let waker = || Waker::from(Arc::clone(&self.room));
                if needed > 0 && !state.replies.memory.try_take(needed, waker) {
                    state.is_starved = true;
                    return Ok(false);
                }
                state.input_start += REQUEST_SIZE;
                self.begin(state, header, checked);
                Ok(true)
            }
            Receiving::Payload { data, filled, .. } => {
                let count = input.len().min(data.len() - *filled);
                data[*filled..*filled + count].copy_from_slice(&input[..count]);
                *filled += count;
                state.input_start += count;
                if *filled < data.len() {
                    return Ok(false);
                }
                let received = std::mem::replace(&mut state.receiving, Receiving::Header);
                if let Receiving::Payload { header, data, .. } = received {
                    let fua = header.has(command_flag::FUA)
                        || self.choice.export.common().is_writethrough();
                    self.submit(state, header, Operation::Write { data, fua });
                }
                Ok(true)
            }
            Receiving::Skip {
                header,
                refusal,
                left,
            } => {
                let count = input.len().min(*left as usize);
                *left -= u32::try_from(count).unwrap_or(*left);
                state.input_start += count;
                if *left > 0 {
                    return Ok(false);
                }
                let (header, refusal) = (*header, *refusal);
                state.receiving = Receiving::Header;
                self.refuse(state, &header, refusal.error, refusal.text);
                Ok(true)
            }
            Receiving::Ended => Ok(false),
        }
    }

    /// Begins with a request whose header is there.
    fn begin(self: &Arc<Self>, state: &mut State, header: Header, checked: Result<(), Refusal>) {
        if header.command == command::DISC {
            state.receiving = Receiving::Ended;
            return;
        }
        if let Err(refusal) = checked {
            if header.payload() > 0 {
                state.receiving = Receiving::Skip {
                    left: header.payload(),
                    header,
                    refusal,
                };
            } else {
                self.refuse(state, &header, refusal.error, refusal.text);
            }
            return;
        }
        let fua = header.has(command_flag::FUA) || self.choice.export.common().is_writethrough();
        if header.command == command::WRITE {
            let data = state.replies.memory.buffer(header.length as usize);
            state.receiving = Receiving::Payload {
                header,
                data,
                filled: 0,
            };
            return;
        }
        let operation = header.operation(fua, &mut state.replies.memory);
        self.submit(state, header, operation);
    }

    /// Starts a request.
    fn submit(self: &Arc<Self>, state: &mut State, header: Header, operation: Operation) {
        let Some(place) = &state.place else {
            return;
        };
        let request = Request {
            // A flush has none.
            offset: if matches!(operation, Operation::Flush) {
                0
            } else {
                header.offset
            },
            operation,
        };
        match self.choice.export.common().backend().start(request) {
            Started::Done(outcome) => self.reply(state, &header, outcome),
            Started::Waiting(pending) => {
                state.n_waiting += 1;
                state.waiting_bytes += header.memory();
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
                    self.abandon(state, &header);
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
                self.abandon(state, header);
            }
        }
    }

    /// A request cannot be carried out because its context is going away.
    fn abandon(&self, state: &mut State, header: &Header) {
        state.n_waiting -= 1;
        state.waiting_bytes -= header.memory();
        state.replies.memory.give(header.memory());
        self.refuse(state, header, Errno::SHUTDOWN, "shutting down");
    }

    /// Requests that had to wait are done.
    fn complete(self: &Arc<Self>, done: impl IntoIterator<Item = (Header, Outcome)>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.place.is_none() {
            // Nobody wants to know.
            for (header, _) in done {
                state.waiting_bytes -= header.memory();
                state.replies.memory.give(header.memory());
            }
            return;
        }
        for (header, outcome) in done {
            state.n_waiting -= 1;
            state.waiting_bytes -= header.memory();
            self.reply(state, &header, outcome);
        }
        if self.round(state, false).is_err() {
            drop(guard);
            self.end();
        }
    }

    fn reply(&self, state: &mut State, header: &Header, outcome: Outcome) {
        let replies = &mut state.replies;
        let cookie = header.cookie;
        let memory = header.memory();
        match (outcome.result, header.command) {
            (Err(error), _) => {
                replies.memory.give(memory);
                replies.memory.keep(outcome.buffer);
                self.refuse(state, header, error, "request failed");
            }
            (Ok(()), command::READ) if self.choice.structured_replies => {
                let in_one_piece = header.has(command_flag::DF);
                replies.structured_data(cookie, header.offset, outcome.buffer, in_one_piece);
                replies.reserve(memory);
            }
            (Ok(()), command::READ) => {
                replies.data(cookie, outcome.buffer);
                replies.reserve(memory);
            }
            (Ok(()), command::BLOCK_STATUS) => {
                replies.block_status(cookie, &outcome.extents);
                replies.reserve(memory);
            }
            (Ok(()), _) => {
                replies.memory.give(memory);
                replies.memory.keep(outcome.buffer);
                replies.done(cookie);
            }
        }
    }

    fn refuse(&self, state: &mut State, header: &Header, error: Errno, text: &str) {
        let structured = self.choice.structured_replies;
        state.replies.error(header.cookie, structured, error, text);
    }
}

impl State {
    /// Whether another request may be taken.
    fn wants_input(&self) -> bool {
        let has_room = !self.is_starved
            && self.n_waiting < MAX_WAITING
            && self.waiting_bytes < MAX_WAITING_BYTES
            && self.replies.len() < ENOUGH_OUTPUT;
        let is_open = match self.receiving {
            Receiving::Header | Receiving::Payload { .. } | Receiving::Skip { .. } => true,
            Receiving::Ended => false,
        };
        has_room && is_open
    }

    /// Whether more may be received.
    fn wants_bytes(&self) -> bool {
        let has_come = |ending: &Ending| ending.arrived > 0;
        self.wants_input() && self.ending.as_ref().is_none_or(has_come)
    }

    fn note_received(&mut self, count: usize) {
        if let Some(ending) = &mut self.ending {
            ending.arrived = ending.arrived.saturating_sub(count);
        }
    }
}

impl SharedFdHandler for Connection {
    fn readable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.progress(true);
    }

    fn writable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.progress(false);
    }
}
