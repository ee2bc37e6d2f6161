//! One QMP session as a state machine without I/O.
//!
//! Bytes from the peer go in through [`Session::advance`], which hands out calls that are to run
//! elsewhere; their results come back through [`Session::complete`]; bytes for the peer are taken
//! from [`Session::output`]. Nothing here blocks, reads a clock or knows a socket, so a tokio
//! server, an event loop, a test and a fuzzer drive the same code.
//!
//! ```
//! use qapi_runtime::Error;
//! use qapi_runtime::dispatch::{CommandInfo, Outcome, Service};
//! use qapi_runtime::session::{Session, SessionConfig};
//! use qapi_runtime::visit::{Input, Output};
//!
//! struct Ping;
//!
//! // Usually the `Dispatcher` that is generated from a schema.
//! impl Service for Ping {
//!     fn commands(&self) -> &[CommandInfo] {
//!         const { &[CommandInfo::new("ping")] }
//!     }
//!
//!     fn call(
//!         &self,
//!         _index: usize,
//!         input: &mut Input<'_>,
//!         output: &mut Output,
//!     ) -> Result<Outcome, Error> {
//!         input.object()?.finish()?;
//!         output.string("pong");
//!         Ok(Outcome::Done)
//!     }
//! }
//!
//! let mut session = Session::new(SessionConfig::default());
//! session.consume_output(session.output().len()); // the greeting
//! let mut input: &[u8] = b"{'execute': 'qmp_capabilities'} {'execute': 'ping', 'id': 1}";
//! assert!(session.advance(&mut input, &Ping, |_| true).is_none());
//! assert_eq!(session.output(), b"{\"return\": {}}\r\n{\"return\": \"pong\", \"id\": 1}\r\n");
//! ```
//!
//! # Order
//!
//! What a handler emits before it returns precedes its reply, as in QEMU. For that, an emitter puts the event into the
//! [`EventQueue`] of each session, and then tells its driver, which calls [`Session::take_events`]; a session that has a reply
//! to write looks there first. Events come in the order in which they were put there.
//!
//! # Memory
//!
//! A session holds one value in the making (see [`Limits`](crate::json::Limits)), at most eight queued requests, and
//! output: once [`OUTPUT_HIGH_WATER`] bytes wait to be sent it takes no further input, and once
//! [`SessionConfig::max_unsent_events`] bytes wait it drops events. All sessions of a server share a
//! [`Budget`](SessionConfig::budget).

mod call;
mod config;
mod envelope;
mod event_queue;
mod events;
mod lookup;
mod memory;
mod negotiation;
mod observer;
mod opening;
mod output;

use std::collections::VecDeque;

pub use self::call::{Call, CallId, Started};
pub use self::config::{SessionConfig, SessionControl};
use self::envelope::{command_name, is_out_of_band};
pub use self::event_queue::{EVENT_QUEUE_LENGTH, EventQueue};
pub use self::events::{EVENT_PERIOD, EventLimiter, EventMessage};
use self::lookup::Command;
pub use self::memory::{MEMORY_PATIENCE, SESSION_MEMORY};
use self::observer::Observed;
pub use self::observer::Observer;
pub use self::opening::Opening;
use self::output::wire_form;
use crate::budget::{Budget, Member};
use crate::dispatch::guard::call_guarded;
use crate::dispatch::{CommandInfo, Outcome, Reply, Service};
use crate::error::Error;
use crate::json::{Document, ParseError, Parsed, Parser, ValueRef, empty_object};
use crate::message::CAPABILITIES;
use crate::visit::{Input, Mode};

/// With capability `oob`: in-band requests that wait while one runs, as in QEMU, and commands that
/// run out of band at a time.
pub const QUEUE_LENGTH: usize = 8;

/// Unsent bytes from which on a session takes no input.
pub const OUTPUT_HIGH_WATER: usize = 1 << 20;

/// The memory for output that an idle session keeps.
const RETAINED_OUTPUT: usize = 256 << 10;

/// Which commands a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only `qmp_capabilities`; no events.
    Negotiation,
    Command {
        oob: bool,
    },
}

/// A request that waits for its turn.
#[derive(Debug)]
enum Queued {
    Request(Document),
    Wrong(ParseError),
}

impl Queued {
    fn memory(&self) -> usize {
        match self {
            Self::Request(document) => document.memory(),
            Self::Wrong(error) => error.message().len(),
        }
    }
}

/// A call that runs elsewhere.
#[derive(Debug)]
struct Running {
    /// What it took along.
    memory: usize,
    id: CallId,
    command: &'static str,
    /// The wire form of member `id`.
    request_id: Option<Box<[u8]>>,
    success_response: bool,
    out_of_band: bool,
}

/// The side of the server of one connection.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    parser: Parser,
    queue: VecDeque<Queued>,
    running: Vec<Running>,
    next_call: u64,
    out: Vec<u8>,
    /// How much of `out` is sent.
    sent: usize,
    /// How much was sent and is not in `out` any more.
    n_forgotten: u64,
    /// Where in all output the replies end that are not sent completely.
    replies: VecDeque<u64>,
    input_ended: bool,
    control: SessionControl,
    observed: Observed,
    events: EventQueue,
    n_dropped_events: u64,
    opening: Opening,
    /// The bytes that have not been decided about: the parser gets them when they are known not to be of another protocol.
    held: Vec<u8>,
    member: Option<Member>,
    /// What the budget was told.
    accounted: usize,
    /// Whether there is no room in it for more input.
    is_short: bool,
}

impl Session {
    /// A session whose greeting is ready to be sent.
    pub fn new(config: SessionConfig) -> Self {
        Self::with_control(config, SessionControl::default())
    }

    /// A session that `control` can end.
    pub fn with_control(config: SessionConfig, control: SessionControl) -> Self {
        let parser = Parser::new(config.limits);
        let member = config.budget.as_ref().map(Budget::join);
        let opening = Opening::new(config.ends_foreign);
        let mut session = Self {
            config,
            phase: Phase::Negotiation,
            parser,
            queue: VecDeque::new(),
            running: Vec::new(),
            next_call: 0,
            out: Vec::new(),
            sent: 0,
            n_forgotten: 0,
            replies: VecDeque::new(),
            input_ended: false,
            control,
            observed: Observed::default(),
            events: EventQueue::default(),
            n_dropped_events: 0,
            opening,
            held: Vec::new(),
            member,
            accounted: 0,
            is_short: false,
        };
        session.greet();
        session.account();
        session
    }

    /// What lets a handler end this session.
    pub fn control(&self) -> SessionControl {
        self.control.clone()
    }

    /// Where events for this session are put, by any thread.
    pub fn event_queue(&self) -> EventQueue {
        self.events.clone()
    }

    /// The bytes that are to be sent next.
    pub fn output(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Marks the first `count` bytes of [`Session::output`] as sent.
    pub fn consume_output(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.out.len());
        let n_sent = self.n_forgotten + self.sent as u64;
        while self.replies.front().is_some_and(|end| *end <= n_sent) {
            self.replies.pop_front();
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            self.n_forgotten = n_sent;
            if self.out.capacity() > RETAINED_OUTPUT {
                self.out = Vec::new();
            }
        } else if self.sent >= OUTPUT_HIGH_WATER {
            self.out.drain(..self.sent);
            self.sent = 0;
            self.n_forgotten = n_sent;
        }
        self.account();
    }

    /// How many commands have no reply that was sent completely: replies that wait, and commands that were received and are
    /// not answered.
    pub fn n_unanswered(&self) -> usize {
        let running = self.running.iter();
        let running = running.filter(|running| running.success_response);
        self.replies.len() + running.count() + self.queue.len()
    }

    /// Whether further input would be looked at now. If not, the caller stops reading until
    /// output was sent, a call completed, or there is memory ([`Session::is_short_of_memory`]).
    pub fn wants_input(&self) -> bool {
        self.would_take_input() && !self.is_short
    }

    fn would_take_input(&self) -> bool {
        !self.input_ended
            && !self.control.is_quitting()
            && !self.is_clogged()
            && !self.is_suspended()
    }

    /// Whether bytes that were taken have not become an answer yet: a value that is not complete, or
    /// requests that wait for their turn or are executed. Until then what came beside these bytes,
    /// such as descriptors, may still be asked for.
    pub fn holds_input(&self) -> bool {
        self.parser.is_mid_value()
            || !self.held.is_empty()
            || !self.queue.is_empty()
            || !self.running.is_empty()
    }

    /// The name of the protocol, if the peer began like another one and the session is ended for that
    /// ([`SessionConfig::ends_foreign`]): something to be told to who looks after the server.
    pub fn foreign_protocol(&self) -> Option<&'static str> {
        self.opening.foreign_protocol()
    }

    /// Whether the session is over and all its output is sent.
    pub fn is_finished(&self) -> bool {
        let idle = self.running.is_empty()
            && (self.control.is_quitting() || (self.input_ended && self.queue.is_empty()));
        idle && self.output().is_empty()
    }

    /// Whether the capabilities are negotiated, so that events are sent.
    pub fn is_negotiated(&self) -> bool {
        self.phase != Phase::Negotiation
    }

    /// Ends the phase in which only commands with 'allow-preconfig' may run.
    pub fn leave_preconfig(&self) {
        self.control.leave_preconfig();
    }

    /// How many events were dropped because the peer does not read.
    pub fn n_dropped_events(&self) -> u64 {
        self.n_dropped_events
    }

    /// The peer sends no more. What it has sent completely is still answered; a value that is
    /// not complete is dropped.
    pub fn end_of_input(&mut self) {
        self.release_held();
        self.input_ended = true;
        self.parser.reset();
        self.account();
    }

    fn oob_enabled(&self) -> bool {
        self.phase == Phase::Command { oob: true }
    }

    fn is_clogged(&self) -> bool {
        self.out.len() - self.sent >= OUTPUT_HIGH_WATER
    }

    fn in_band_running(&self) -> bool {
        self.running.iter().any(|running| !running.out_of_band)
    }

    /// Without OOB, the next request is not even read before the last one is answered. With it,
    /// neither those that wait nor those that run out of band may become too many.
    fn is_suspended(&self) -> bool {
        if self.oob_enabled() {
            let waits_for_room = self.queue.len() >= QUEUE_LENGTH;
            waits_for_room
                || self.running.len() - usize::from(self.in_band_running()) >= QUEUE_LENGTH
        } else {
            self.in_band_running() || !self.queue.is_empty()
        }
    }

    /// Goes on as far as possible: takes queued requests and bytes off the front of `input`.
    ///
    /// Commands for which `runs_inline` holds are executed here, others are handed out one by
    /// one: call again until the result is `None`. Then either `input` is empty, or the session
    /// does not want input ([`Session::wants_input`]) and the rest is to be kept.
    pub fn advance(
        &mut self,
        input: &mut &[u8],
        service: &dyn Service,
        runs_inline: impl Fn(&CommandInfo) -> bool,
    ) -> Option<Call> {
        if self.opening.look(input).is_some() {
            *input = &[];
            self.held = Vec::new();
            self.control.quit();
            return None;
        }
        let mut undecided: &[u8] = &[];
        match self.opening.n_undecided() {
            Some(count) => {
                // They are the last ones, and after white space the only ones.
                let n_blank = input.len().saturating_sub(count);
                (*input, undecided) = input.split_at(n_blank);
            }
            None => self.release_held(),
        }
        let call = self.go_on(input, service, &runs_inline);
        self.held.extend_from_slice(undecided);
        self.account();
        call
    }

    /// Gives the parser the bytes that were held.
    fn release_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        // No value begins with these bytes, so that there is nothing but mistakes in them.
        while let Parsed::Error(error) = self.parser.feed(&mut rest) {
            self.mistake(error);
        }
    }

    fn go_on(
        &mut self,
        input: &mut &[u8],
        service: &dyn Service,
        runs_inline: &dyn Fn(&CommandInfo) -> bool,
    ) -> Option<Call> {
        loop {
            if self.control.is_quitting() || self.is_clogged() {
                return None;
            }
            if !self.queue.is_empty()
                && !self.in_band_running()
                && let Some(queued) = self.queue.pop_front()
            {
                let call = match queued {
                    Queued::Request(document) => self.execute(document, service, runs_inline),
                    Queued::Wrong(error) => {
                        self.answer_error(None, &error.into());
                        None
                    }
                };
                if call.is_some() {
                    return call;
                }
                continue;
            }
            if self.input_ended || self.is_suspended() {
                return None;
            }
            let call = match self.parser.feed(input) {
                Parsed::Incomplete => return None,
                Parsed::Error(error) => {
                    self.mistake(error);
                    None
                }
                Parsed::Value => {
                    let document = self.parser.take_document();
                    if self.in_band_running() && !is_out_of_band(document.root()) {
                        self.queue.push_back(Queued::Request(document));
                        None
                    } else {
                        self.execute(document, service, runs_inline)
                    }
                }
            };
            if call.is_some() {
                return call;
            }
        }
    }

    /// Answers input that is not JSON, in its turn.
    fn mistake(&mut self, error: ParseError) {
        if self.in_band_running() {
            self.queue.push_back(Queued::Wrong(error));
        } else {
            self.answer_error(None, &error.into());
        }
    }

    /// Executes a request, or makes a call of it.
    fn execute(
        &mut self,
        document: Document,
        service: &dyn Service,
        runs_inline: &dyn Fn(&CommandInfo) -> bool,
    ) -> Option<Call> {
        // What was emitted before goes first. Of it, nothing is sent before the negotiation.
        self.take_events();
        let request = document.root();
        let id = request.get("id");
        let call_id = self.next_call();
        let (envelope, index, info) = match self.look_up(request, service) {
            Ok(Command::Capabilities(arguments)) => {
                let allowed = self.observed.begins(call_id, CAPABILITIES);
                let result = allowed.and_then(|()| self.negotiate(arguments));
                match &result {
                    Ok(()) => self.answer_reply(id.map(wire_form).as_deref(), &Reply::empty()),
                    Err(error) => self.answer_error(id, error),
                }
                self.observed
                    .ends(call_id, CAPABILITIES, result.as_ref().copied());
                self.parser.replace_document(document);
                return None;
            }
            Ok(Command::Service(envelope, index, info)) => (envelope, index, info),
            Err(error) => {
                let error = self.explain(error);
                self.answer_error(id, &error);
                self.observed
                    .ends(call_id, command_name(request), Err(&error));
                self.parser.replace_document(document);
                return None;
            }
        };
        if let Err(error) = self.observed.begins(call_id, info.name) {
            self.answer_error(id, &error);
            self.observed.ends(call_id, info.name, Err(&error));
            self.parser.replace_document(document);
            return None;
        }
        let arguments = envelope.arguments.unwrap_or_else(empty_object);
        let out_of_band = envelope.out_of_band;
        if !runs_inline(info) {
            let arguments = envelope.arguments.map(|arguments| arguments.index);
            let memory = document.memory();
            self.begin_call(call_id, id, *info, out_of_band, memory);
            return Some(Call::request(
                call_id,
                index,
                *info,
                document,
                arguments,
                self.config.compat,
            ));
        }
        let mark = self.out.len();
        let mut output = self.begin_message();
        output.writer().begin_object();
        output.writer().key("return");
        let mut input = Input::at(arguments, Mode::Strict, self.config.compat);
        let outcome = call_guarded(service, index, &mut input, &mut output);
        let mut call = None;
        match outcome {
            Ok(Outcome::Done) if info.success_response => {
                if let Some(id) = id {
                    output.writer().key("id");
                    output.value_ref(id);
                }
                output.writer().end_object();
                self.end_message(output, mark);
                self.put_events_before(mark);
                self.note_reply();
                self.observed.ends(call_id, info.name, Ok(()));
            }
            Ok(Outcome::Done) => {
                self.drop_message(output, mark);
                self.observed.ends(call_id, info.name, Ok(()));
            }
            Ok(Outcome::Pending(future)) => {
                self.drop_message(output, mark);
                self.begin_call(call_id, id, *info, out_of_band, 0);
                call = Some(Call::future(call_id, *info, future));
            }
            Err(error) => {
                self.drop_message(output, mark);
                self.take_events();
                self.answer_error(id, &error);
                self.observed.ends(call_id, info.name, Err(&error));
            }
        }
        // Its memory is used for the next request.
        self.parser.replace_document(document);
        call
    }

    fn begin_call(
        &mut self,
        call: CallId,
        id: Option<ValueRef<'_>>,
        info: CommandInfo,
        out_of_band: bool,
        memory: usize,
    ) {
        self.running.push(Running {
            memory,
            id: call,
            command: info.name,
            request_id: id.map(|id| wire_form(id).into()),
            success_response: info.success_response,
            out_of_band,
        });
    }

    /// Takes the result of a call. Unknown calls are ignored, so a result cannot be sent twice.
    ///
    /// The caller then calls [`Session::advance`], even without input.
    pub fn complete(&mut self, call: CallId, result: Result<Reply, Error>) {
        let Some(index) = self.running.iter().position(|running| running.id == call) else {
            return;
        };
        let running = self.running.remove(index);
        // What the handler has emitted is there by now.
        self.take_events();
        match &result {
            Ok(reply) if running.success_response => {
                self.answer_reply(running.request_id.as_deref(), reply);
            }
            Ok(_) => {}
            Err(error) => self.write_error(running.request_id.as_deref(), error),
        }
        self.observed
            .ends(call, running.command, result.as_ref().map(|_| ()));
        self.account();
    }
}
