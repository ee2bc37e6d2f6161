//! The script of a mock as it goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::listen::Mouth;
use super::{Mock, MockState, SYNCS, Step, To, command_of, error_message};
use crate::error::Error;
use crate::json::{Document, ValueRef};
use crate::value::{Object, Value};

/// What happens with a client, which has a number from 0 on.
pub(super) enum Word {
    Ready(usize, Mouth),
    Message(usize, Document),
    Gone(usize),
}

/// Nothing more happens.
struct Over;

/// Follows a script.
pub(super) struct Player {
    steps: VecDeque<Step>,
    takes_any_order: bool,
    words: Receiver<Word>,
    state: Arc<MockState>,
    /// Those that are ready and there.
    clients: HashMap<usize, Mouth>,
    /// One more than the highest number of a client that was ready.
    n_seen: usize,
    /// What came and is not expected yet.
    inbox: VecDeque<(usize, Document)>,
    /// Who sent the commands that were expected, with which `id`.
    requests: HashMap<usize, (usize, Option<Value>)>,
    /// The client that the script is with.
    current: Option<usize>,
}

impl Player {
    pub(super) fn new(mock: Mock, words: Receiver<Word>, state: Arc<MockState>) -> Self {
        Self {
            steps: mock.steps,
            takes_any_order: mock.takes_any_order,
            words,
            state,
            clients: HashMap::new(),
            n_seen: 0,
            inbox: VecDeque::new(),
            requests: HashMap::new(),
            current: None,
        }
    }

    pub(super) fn run(mut self) {
        if self.play().is_ok() {
            // Nothing more is expected, but the client may want to find the connection open.
            while let Ok((client, message)) = self.next_message() {
                let got = message.root();
                self.state
                    .mismatch(format!("expected nothing more, got {got}"));
                let error = Error::generic("the script of the mock is over");
                self.answer(client, error_message(&error), id_of(got));
            }
        }
        for step in &self.steps {
            if let Step::Expect { command, .. } = step {
                self.state
                    .mismatch(format!("expected {command}, which did not come"));
            }
        }
    }

    fn play(&mut self) -> Result<(), Over> {
        while let Some(step) = self.steps.front() {
            match step.clone() {
                Step::Expect { .. } => {
                    let (client, message) = self.next_message()?;
                    self.expected(client, message.root());
                    continue;
                }
                Step::Delay(delay) => {
                    self.client()?;
                    self.state.delay(delay);
                }
                Step::Send { message, to } => self.send(message, to)?,
                Step::SendBytes(bytes) => {
                    let client = self.client()?;
                    self.to(client, |mouth| mouth.bytes(&bytes));
                }
                Step::Disconnect => {
                    let client = self.client()?;
                    self.to(client, |mouth| {
                        mouth.close();
                        Ok(())
                    });
                    self.gone(client);
                }
            }
            self.steps.pop_front();
        }
        Ok(())
    }

    /// Hears what happens next.
    fn hear(&mut self) -> Result<(), Over> {
        match self.words.recv().map_err(|_| Over)? {
            Word::Ready(client, mouth) => {
                self.clients.insert(client, mouth);
                self.n_seen = self.n_seen.max(client + 1);
                self.current.get_or_insert(client);
            }
            Word::Message(client, message) => self.inbox.push_back((client, message)),
            Word::Gone(client) => self.gone(client),
        }
        Ok(())
    }

    fn gone(&mut self, client: usize) {
        self.clients.remove(&client);
        if self.current == Some(client) {
            self.current = self.clients.keys().max().copied();
        }
    }

    /// The next message that is for the script.
    fn next_message(&mut self) -> Result<(usize, Document), Over> {
        loop {
            match self.inbox.pop_front() {
                Some((client, message)) if SYNCS.contains(&command_of(message.root())) => {
                    self.to(client, |mouth| mouth.answer_sync(message.root()));
                }
                Some(next) => return Ok(next),
                None => self.hear()?,
            }
        }
    }

    /// The client that the script is with; waits for one if no client is connected.
    fn client(&mut self) -> Result<usize, Over> {
        loop {
            match self.current {
                Some(client) => return Ok(client),
                None => self.hear()?,
            }
        }
    }

    /// Says something to a client that may be gone.
    fn to(&mut self, client: usize, say: impl FnOnce(&Mouth) -> std::io::Result<()>) {
        if let Some(mouth) = self.clients.get(&client) {
            // It is told from its own thread that a client is gone.
            let _ = say(mouth);
        }
    }

    fn answer(&mut self, client: usize, message: Value, id: Option<Value>) {
        self.to(client, |mouth| mouth.answer(message, id));
    }

    fn send(&mut self, message: Value, to: To) -> Result<(), Over> {
        match to {
            To::Request(number) => {
                match number.and_then(|number| self.requests.get(&number).cloned()) {
                    Some((client, id)) => self.answer(client, message, id),
                    // To no command in particular.
                    None => {
                        let client = self.client()?;
                        self.answer(client, message, None);
                    }
                }
            }
            To::Connection(number) => {
                let client = usize::try_from(number).unwrap_or(0).saturating_sub(1);
                while self.n_seen <= client {
                    self.hear()?;
                }
                self.to(client, |mouth| mouth.send(&message));
            }
            To::Everyone => {
                self.client()?;
                for mouth in self.clients.values() {
                    // As above.
                    let _ = mouth.send(&message);
                }
            }
        }
        Ok(())
    }

    /// Compares a command with what is expected, which is the next step.
    fn expected(&mut self, client: usize, got: ValueRef<'_>) {
        let n_alternatives = match self.takes_any_order {
            true => self.steps.len(),
            false => 1,
        };
        let is_expectation = |step: &&Step| matches!(step, Step::Expect { .. });
        let mut expectations = self.steps.iter().take_while(is_expectation);
        let fits = expectations
            .by_ref()
            .take(n_alternatives)
            .position(|step| fits(step, got));
        let step = self.steps.remove(fits.unwrap_or(0));
        let Some(Step::Expect {
            command, number, ..
        }) = step
        else {
            return;
        };
        if fits.is_none() {
            self.state
                .mismatch(format!("expected {command}, got {got}"));
        }
        self.requests.insert(number, (client, id_of(got)));
        if self.clients.contains_key(&client) {
            self.current = Some(client);
        }
    }
}

fn id_of(message: ValueRef<'_>) -> Option<Value> {
    message.get("id").map(ValueRef::to_value)
}

fn fits(step: &Step, got: ValueRef<'_>) -> bool {
    let Step::Expect {
        command, arguments, ..
    } = step
    else {
        return false;
    };
    let arguments_of = |got: ValueRef<'_>| {
        let got = got.get("arguments");
        got.map_or_else(|| Value::Object(Object::new()), ValueRef::to_value)
    };
    command_of(got) == command
        && arguments
            .as_ref()
            .is_none_or(|arguments| arguments_of(got) == *arguments)
}
