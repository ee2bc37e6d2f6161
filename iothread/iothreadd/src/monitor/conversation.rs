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

#[cfg(test)]
mod tests {
    use qapi_runtime::Error;
    use qapi_runtime::dispatch::{CommandInfo, Outcome, Service};
    use qapi_runtime::session::{SessionConfig, Started};
    use qapi_runtime::visit::{Input as Arguments, Output};

    use super::*;
    use crate::net::drive::{Drain, Fate, drive};

    impl Drain for Session {
        fn drain(&mut self) -> Vec<u8> {
            let all = self.output().to_vec();
            self.consume_output(all.len());
            all
        }
    }

    /// A command that fails, and one that is called where its session is and fails, too: what commands return is not the
    /// business of a conversation.
    struct Commands([CommandInfo; 2]);

    impl Service for Commands {
        fn commands(&self) -> &[CommandInfo] {
            &self.0
        }

        fn call(
            &self,
            index: usize,
            _: &mut Arguments<'_>,
            _: &mut Output,
        ) -> Result<Outcome, Error> {
            Err(Error::generic(format!("{} is done", self.0[index].name)))
        }
    }

    fn conversation() -> (Conversation, Arc<Commands>) {
        let names = ["elsewhere", "here"];
        let service = Arc::new(Commands(names.map(CommandInfo::new)));
        let commands = SessionCommands {
            service: Arc::<Commands>::clone(&service),
            runs_inline: |command| command.name == "here",
        };
        let session = Session::new(SessionConfig::default());
        let conversation = Conversation::new(session, commands, &Arc::default());
        (conversation, service)
    }

    /// What is answered behind the greeting, the names of the commands that are handed out, and what becomes of it.
    fn talk(input: &[u8], piece: usize) -> (String, Vec<&'static str>, Fate) {
        let (mut conversation, service) = conversation();
        let mut names = Vec::new();
        let (output, fate) = drive(&mut conversation, input, piece, |conversation, call| {
            names.push(call.info().name);
            let id = call.id();
            match call.start(&*service) {
                Started::Done(result) => conversation.session().complete(id, result),
                Started::Pending(_) => panic!("no command waits"),
            }
        });
        let output = String::from_utf8(output).unwrap();
        let (greeting, rest) = output.split_once("\r\n").unwrap();
        assert!(greeting.starts_with("{\"QMP\""), "{greeting}");
        (rest.to_owned(), names, fate)
    }

    const INPUT: &[u8] = b"{'execute':'qmp_capabilities'}\n{'execute':'here','id':1}\
        {'execute':'elsewhere','id':2}{'execute':'nowhere'} {'execute':'elsewhere'}";

    #[test]
    fn commands_are_handed_out_in_their_order_however_they_come() {
        let (answers, names, _) = talk(INPUT, INPUT.len());
        assert_eq!(names, ["elsewhere"; 2]);
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), 5, "{answers:?}");
        for (answer, text) in answers.iter().zip([
            "{\"return\": {}}",
            "here is done",
            "elsewhere is done",
            "CommandNotFound",
            "elsewhere is done",
        ]) {
            assert!(answer.contains(text), "{answer}");
        }
        let whole = talk(INPUT, INPUT.len());
        for piece in 1..INPUT.len() {
            assert_eq!(talk(INPUT, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_command_that_is_not_answered_keeps_the_others_and_the_end() {
        let (mut conversation, _) = conversation();
        let mut ids = Vec::new();
        drive(&mut conversation, INPUT, INPUT.len(), |_, call| {
            ids.push(call.id());
        });
        assert_eq!(ids.len(), 1);
        assert!(!matches!(
            conversation.advance(),
            Step::Event(_) | Step::Close
        ));
        let late = Err(Error::generic("late"));
        conversation.session().complete(ids[0], late);
        assert!(matches!(conversation.advance(), Step::Event(_)));
    }
}
