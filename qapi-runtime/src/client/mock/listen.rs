//! The clients of a mock: who comes, and what comes from them.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::play::{Player, Word};
use super::service::serve_service;
use super::{Mock, MockState, Opening, SYNCS, command_of};
use crate::dialect::Dialect;
use crate::json::{Document, Limits, Parsed, Parser, ValueRef};
use crate::lock::lock;
use crate::message::CAPABILITIES;
use crate::session::{Session, SessionConfig};
use crate::system::{Meeting, MockStream};
use crate::value::{Object, Value};

/// Accepts clients until the mock is stopped, and then waits for all that was begun.
pub(super) fn serve_all(mut mock: Mock, meeting: &Meeting, state: &Arc<MockState>) {
    let mut threads = Vec::new();
    let mut openings = std::mem::take(&mut mock.openings);
    let service = mock.service.take();
    let (config, dialect, hides_ids) = (mock.config.clone(), mock.dialect, mock.hides_ids);
    let (words, heard) = mpsc::channel();
    let player = service.is_none().then(|| {
        let player = Player::new(mock, heard, Arc::clone(state));
        std::thread::spawn(move || player.run())
    });
    for client in 0.. {
        let Some(stream) = accept(meeting, state) else {
            break;
        };
        let state = Arc::clone(state);
        let (config, words) = (config.clone(), words.clone());
        let opening = openings.pop_front().unwrap_or_default();
        let service = service.clone();
        threads.push(std::thread::spawn(move || {
            let served = match service {
                Some(service) => serve_service(stream, &config, &*service, &state),
                None => Talk {
                    client,
                    dialect,
                    hides_ids,
                    words,
                    state: &state,
                }
                .serve(stream, &config, opening),
            };
            match served {
                Ok(()) => {}
                // A client that goes away is a part of many tests.
                Err(error) if is_end(error.kind()) => {}
                Err(error) => state.mismatch(format!("a connection has failed: {error}")),
            }
        }));
    }
    for thread in threads {
        // It may wait for a future.
        thread.thread().unpark();
        join(thread);
    }
    drop(words);
    if let Some(player) = player {
        join(player);
    }
}

fn join(thread: JoinHandle<()>) {
    // A panic of the thread has been reported by itself.
    let _ = thread.join();
}

/// The next client; nothing when the mock is stopped.
fn accept(meeting: &Meeting, state: &MockState) -> Option<MockStream> {
    loop {
        let accepted = meeting.accept();
        if state.is_stopped() {
            return None;
        }
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                state.mismatch(format!("clients cannot be accepted: {error}"));
                return None;
            }
        };
        match stream.try_clone() {
            Ok(handle) => lock(&state.streams).push(handle),
            // Without it the mock could not be stopped while it serves.
            Err(error) => {
                state.mismatch(format!("a client cannot be served: {error}"));
                continue;
            }
        }
        // The mock may have been stopped before the stream was in its list.
        if state.is_stopped() {
            state.close_all();
        }
        return Some(stream);
    }
}

/// Whether an error of a connection is only its end.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

/// What is sent to a client, message by message.
#[derive(Clone)]
pub(super) struct Mouth {
    stream: Arc<Mutex<MockStream>>,
    hides_ids: bool,
}

impl Mouth {
    pub(super) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.stream).write_all(bytes)
    }

    pub(super) fn send(&self, message: &Value) -> io::Result<()> {
        self.bytes(format!("{message}\r\n").as_bytes())
    }

    /// Sends an answer to the request with this `id`.
    pub(super) fn answer(&self, message: Value, id: Option<Value>) -> io::Result<()> {
        self.bytes(&self.answer_bytes(message, id))
    }

    fn answer_bytes(&self, message: Value, id: Option<Value>) -> Vec<u8> {
        let mut members = match message {
            Value::Object(members) => members,
            other => Object::from_iter([("return".to_owned(), other)]),
        };
        members.remove("id");
        if let Some(id) = id.filter(|_| !self.hides_ids) {
            members.insert("id".to_owned(), id);
        }
        format!("{}\r\n", Value::Object(members)).into_bytes()
    }

    /// Answers a synchronization of the guest agent.
    pub(super) fn answer_sync(&self, request: ValueRef<'_>) -> io::Result<()> {
        self.bytes(&sync_bytes(request))
    }

    pub(super) fn close(&self) {
        // The client may be gone already.
        let _ = lock(&self.stream).shutdown(std::net::Shutdown::Both);
    }
}

/// The answer to a synchronization of the guest agent.
fn sync_bytes(request: ValueRef<'_>) -> Vec<u8> {
    let argument = request.get("arguments").and_then(|it| it.get("id"));
    let answer = Value::from_iter([(
        "return".to_owned(),
        argument.map_or(Value::Null, ValueRef::to_value),
    )]);
    let mark: &[u8] = if command_of(request) == SYNCS[0] {
        b"\xff"
    } else {
        b""
    };
    let mut bytes = mark.to_vec();
    bytes.extend_from_slice(format!("{answer}\n").as_bytes());
    bytes
}

/// One client of a script.
struct Talk<'a> {
    client: usize,
    dialect: Dialect,
    hides_ids: bool,
    words: Sender<Word>,
    state: &'a MockState,
}

impl Talk<'_> {
    fn serve(
        &self,
        stream: MockStream,
        config: &SessionConfig,
        opening: Opening,
    ) -> io::Result<()> {
        let mouth = Mouth {
            stream: Arc::new(Mutex::new(stream.try_clone()?)),
            hides_ids: self.hides_ids,
        };
        let mut ear = Ear::new(stream);
        let served = self
            .open(&mouth, &mut ear, config, opening)
            .and_then(|answer| {
                {
                    // Who has this answer may count on being one of those that the script is for. The script learns of it first, and
                    // cannot say anything until the answer is out.
                    let mut stream = lock(&mouth.stream);
                    self.tell(Word::Ready(self.client, mouth.clone()));
                    stream.write_all(&answer)?;
                }
                loop {
                    let message = ear.next()?;
                    self.tell(Word::Message(self.client, message));
                }
            });
        self.tell(Word::Gone(self.client));
        served
    }

    fn tell(&self, word: Word) {
        // The script ends after its clients.
        let _ = self.words.send(word);
    }

    /// Greets, and negotiates or synchronizes; gives the answer that ends it.
    fn open(
        &self,
        mouth: &Mouth,
        ear: &mut Ear,
        config: &SessionConfig,
        opening: Opening,
    ) -> io::Result<Vec<u8>> {
        for message in &opening.first {
            mouth.send(message)?;
        }
        match (self.dialect, &opening.greeting) {
            (Dialect::GuestAgent, _) => {}
            (Dialect::Qmp, Some(greeting)) => mouth.send(greeting)?,
            (Dialect::Qmp, None) => mouth.bytes(Session::new(config.clone()).output())?,
        }
        let first = ear.next()?;
        let command = command_of(first.root());
        if SYNCS.contains(&command) {
            return Ok(sync_bytes(first.root()));
        }
        if command != CAPABILITIES || self.dialect == Dialect::GuestAgent {
            let expected = match self.dialect {
                Dialect::Qmp => CAPABILITIES,
                Dialect::GuestAgent => SYNCS[0],
            };
            self.state
                .mismatch(format!("expected {expected}, got {}", first.root()));
        }
        for message in &opening.then {
            mouth.send(message)?;
        }
        let nothing = Value::from_iter([("return".to_owned(), Value::Object(Object::new()))]);
        let id = first.root().get("id").map(ValueRef::to_value);
        Ok(mouth.answer_bytes(nothing, id))
    }
}

/// What comes from a client, message by message.
struct Ear {
    stream: MockStream,
    parser: Parser,
    buffer: Vec<u8>,
}

impl Ear {
    fn new(stream: MockStream) -> Self {
        Self {
            stream,
            parser: Parser::new(Limits::QMP),
            buffer: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<Document> {
        loop {
            // It resets the parser of a guest agent.
            let is_reset = |byte: &u8| *byte == 0xff;
            if self.buffer.first().is_some_and(is_reset) {
                self.parser = Parser::new(Limits::QMP);
                self.buffer.remove(0);
            }
            let end = self.buffer.iter().position(is_reset);
            let mut input = &self.buffer[..end.unwrap_or(self.buffer.len())];
            let offered = input.len();
            let parsed = self.parser.feed(&mut input);
            let taken = offered - input.len();
            self.buffer.drain(..taken);
            match parsed {
                Parsed::Value => return Ok(self.parser.take_document()),
                Parsed::Error(error) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Parsed::Incomplete => {}
            }
            if !self.buffer.is_empty() {
                continue;
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(&piece[..count]),
            }
        }
    }
}
