//! What is said in a QMP session: the runtime's session without I/O, its input, and the descriptors that come with it.

use std::io;
use std::sync::Arc;

use qapi_runtime::session::{Call, Session};

use super::call::SessionCommands;
use crate::net::descriptors::SessionDescriptors;
use crate::net::input::Input;
use crate::net::protocol::{Outgoing, Protocol, Sent, Step};
use crate::net::stream::{Passed, Stream};

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 16 << 10;

/// One client's side of it. The events are commands to be carried out.
pub(super) struct Conversation {
    session: Session,
    commands: SessionCommands,
    descriptors: Arc<SessionDescriptors>,
    input: Input,
    has_new_descriptors: bool,
}

impl Conversation {
    pub(super) fn new(
        session: Session,
        commands: SessionCommands,
        descriptors: &Arc<SessionDescriptors>,
    ) -> Self {
        Self {
            session,
            commands,
            descriptors: Arc::clone(descriptors),
            input: Input::new(RECEIVE_SIZE, RECEIVE_SIZE),
            has_new_descriptors: false,
        }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether bytes have come that are not answered yet.
    pub(super) fn holds_input(&self) -> bool {
        !self.input.is_empty() || self.session.holds_input()
    }

    /// Whether memory is what keeps the session from taking more.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.input.is_empty() && self.session.is_short_of_memory()
    }

    /// Whether descriptors have come since this was asked last.
    pub(super) fn has_new_descriptors(&mut self) -> bool {
        std::mem::take(&mut self.has_new_descriptors)
    }
}

impl Protocol for Conversation {
    type Event = Call;
    type Output = Session;

    const TAKES_DESCRIPTORS: bool = true;

    fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    fn received(&mut self, count: usize, passed: Passed) {
        self.input.fill(count);
        self.has_new_descriptors |= !passed.descriptors.is_empty();
        self.descriptors
            .received(passed.descriptors, self.input.bytes());
    }

    fn end_of_input(&mut self) {
        self.session.end_of_input();
    }

    fn advance(&mut self) -> Step<Call> {
        let mut input = self.input.bytes();
        let before = input.len();
        let SessionCommands {
            service,
            runs_inline,
        } = &self.commands;
        let call = self.session.advance(&mut input, &**service, runs_inline);
        let n_taken = before - input.len();
        self.input.take(n_taken);
        match call {
            Some(call) => Step::Event(call),
            None if self.session.is_finished() => Step::Close,
            None if self.session.wants_input() && self.input.is_empty() => Step::Read,
            None => Step::Wait,
        }
    }

    fn output(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Outgoing for Session {
    fn len(&self) -> usize {
        self.output().len()
    }

    fn send_some(&mut self, stream: &Stream) -> io::Result<Sent> {
        let wanted = self.output().len();
        let count = stream.send(self.output())?;
        self.consume_output(count);
        Sent::of(count, wanted)
    }
}
