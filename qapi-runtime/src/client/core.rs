//! The protocol on the side of the client, without I/O.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::error::{ClientError, ClientErrorKind};
use super::event::RawEvent;
use super::transcript::Transcript;
use crate::dispatch::no_arguments;
use crate::error::{Error, ErrorClass};
use crate::json::{Document, Limits, Parsed, Parser, ValueRef};
use crate::value::Value;
use crate::visit::{Compat, Input, Mode, Output, Visit};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A QMP server: greets, negotiates.
    #[default]
    Qmp,
    /// The guest agent: does not greet, and may still be busy with what an earlier client left;
    /// the connection begins with `guest-sync-delimited`.
    GuestAgent,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Greeting {
    /// The version, of the form that `query-version` returns.
    pub version: Value,
    /// Whether it offers execution out of band.
    pub offers_oob: bool,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub(super) command: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    pub(super) id: u64,
}

impl Encoded {
    /// Encodes a request; `arguments` is an object, or nothing.
    ///
    /// # Errors
    ///
    /// Arguments that cannot be sent.
    pub fn new<A: Visit>(
        command: &str,
        arguments: Option<&A>,
        id: u64,
        out_of_band: bool,
    ) -> Result<Self, ClientError> {
        let mut output = Output::new();
        let mut object = output.object();
        object.tag(if out_of_band { "exec-oob" } else { "execute" }, command);
        if let Some(arguments) = arguments {
            object.required("arguments", arguments);
        }
        object.required("id", &id);
        if let Err(error) = object.finish() {
            return Err(ClientError::new(ClientErrorKind::Request(error)).for_command(command));
        }
        let mut bytes = output.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        Ok(Self {
            command: command.into(),
            bytes: bytes.into(),
            id,
        })
    }

    /// The number that the answer will have.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The bytes to be sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An error about this request.
    pub(super) fn error(&self, kind: ClientErrorKind) -> ClientError {
        ClientError::new(kind)
            .for_command(&self.command)
            .with_sent(self.bytes.trim_ascii_end())
    }
}

/// What came from the server.
#[derive(Debug)]
pub enum Incoming {
    /// The connection is ready for commands.
    Ready,
    /// The answer to the request with this number.
    Reply(u64, Answer),
    /// An event.
    Event(RawEvent),
}

/// The answer to a request: the whole message, and what of it the server calls an error.
#[derive(Debug)]
pub struct Answer {
    pub(super) message: Document,
    pub(super) error: Option<Error>,
}

#[derive(Debug, PartialEq)]
enum Phase {
    /// Waiting for the greeting.
    Greeting,
    /// `qmp_capabilities` is on its way.
    Negotiating,
    /// `guest-sync-delimited` with this number is on its way.
    Syncing(u64),
    Ready,
}

/// The protocol on the side of the client.
///
/// Bytes from the server go in through [`ClientCore::receive`]; bytes for the server are taken
/// with [`ClientCore::take_output`].
#[derive(Debug)]
pub struct ClientCore {
    parser: Parser,
    phase: Phase,
    wants_oob: bool,
    oob: bool,
    greeting: Option<Greeting>,
    output: Vec<u8>,
    /// The requests without an answer, in the order in which they were sent, and which of them
    /// are out of band.
    pending: IndexMap<u64, bool>,
    transcript: Option<Arc<Transcript>>,
}

/// The `id` of the negotiation; requests have numbers.
const NEGOTIATION: &str = "negotiation";

impl ClientCore {
    /// The start of a connection. `seed` should differ from connection to connection: the guest
    /// agent echoes it. Replies are taken up to [`Limits::REPLY`].
    pub fn new(dialect: Dialect, wants_oob: bool, seed: u64) -> Self {
        Self::with_limits(dialect, wants_oob, seed, Limits::REPLY)
    }

    /// The same with other limits of what is taken from the server.
    pub fn with_limits(dialect: Dialect, wants_oob: bool, seed: u64, limits: Limits) -> Self {
        let mut core = Self {
            parser: Parser::new(limits),
            phase: Phase::Greeting,
            wants_oob,
            oob: false,
            greeting: None,
            output: Vec::new(),
            pending: IndexMap::new(),
            transcript: None,
        };
        if dialect == Dialect::GuestAgent {
            // The agent's integers are signed.
            let seed = seed >> 1;
            core.phase = Phase::Syncing(seed);
            core.output = format!(
                "{{\"execute\": \"guest-sync-delimited\", \"arguments\": {{\"id\": {seed}}}}}\n"
            )
            .into_bytes();
            // Resets the agent's parser.
            core.output.insert(0, 0xff);
        }
        core
    }

    /// Records the messages of both sides from now on.
    pub fn record(&mut self, transcript: Arc<Transcript>) {
        self.transcript = Some(transcript);
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// Whether commands may be sent.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether commands may be executed out of band.
    pub fn oob_enabled(&self) -> bool {
        self.oob
    }

    /// The bytes that the protocol itself has to send.
    pub fn take_output(&mut self) -> Vec<u8> {
        let output = std::mem::take(&mut self.output);
        if let Some(transcript) = self.transcript.as_ref().filter(|_| !output.is_empty()) {
            transcript.sent(&output);
        }
        output
    }

    /// Notes that a request is sent.
    pub fn sent(&mut self, request: &Encoded, out_of_band: bool) {
        self.pending.insert(request.id, out_of_band);
        if let Some(transcript) = &self.transcript {
            transcript.sent(&request.bytes);
        }
    }

    /// Notes that a request will have no answer.
    pub fn unanswered(&mut self, id: u64) {
        self.pending.shift_remove(&id);
    }

    /// Takes bytes off the front of `input` up to the next thing of interest; `None` if there is
    /// nothing in all of it.
    ///
    /// # Errors
    ///
    /// What the server sent is no QMP; the connection is of no use any more.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, ClientError> {
        loop {
            match self.parser.feed(input) {
                Parsed::Incomplete => return Ok(None),
                Parsed::Error(error) => {
                    // The agent marks the start of its answer with a byte that is no JSON, and
                    // what comes before is left over from others.
                    if !matches!(self.phase, Phase::Syncing(_)) {
                        return Err(protocol(&error.to_string()));
                    }
                }
                Parsed::Value => {
                    let message = self.parser.take_document();
                    if let Some(incoming) = self.message(message)? {
                        return Ok(Some(incoming));
                    }
                }
            }
        }
    }

    fn message(&mut self, message: Document) -> Result<Option<Incoming>, ClientError> {
        let root = message.root();
        if let Some(transcript) = &self.transcript {
            transcript.received(root);
        }
        match self.phase {
            Phase::Greeting => {
                let Some(greeting) = root.get("QMP") else {
                    return Err(protocol("the server does not greet as a QMP server")
                        .with_received(message));
                };
                self.greet(greeting);
                Ok(None)
            }
            Phase::Negotiating => {
                if let Some(error) = error_of(root) {
                    return Err(ClientError::new(ClientErrorKind::Server(error))
                        .for_command("qmp_capabilities")
                        .with_received(message));
                }
                if root.get("return").is_none() {
                    return Ok(None);
                }
                self.phase = Phase::Ready;
                Ok(Some(Incoming::Ready))
            }
            Phase::Syncing(seed) => {
                if root.get("return").and_then(ValueRef::as_u64) != Some(seed) {
                    return Ok(None);
                }
                self.phase = Phase::Ready;
                Ok(Some(Incoming::Ready))
            }
            Phase::Ready => {
                if root.get("event").is_some() {
                    return Ok(RawEvent::new(message).map(Incoming::Event));
                }
                self.reply(message)
            }
        }
    }

    fn greet(&mut self, greeting: ValueRef<'_>) {
        let offers_oob = greeting
            .get("capabilities")
            .is_some_and(|offered| offered.elements().any(|name| name.as_str() == Some("oob")));
        self.greeting = Some(Greeting {
            version: greeting
                .get("version")
                .map_or(Value::Null, ValueRef::to_value),
            offers_oob,
        });
        self.oob = self.wants_oob && offers_oob;
        let enable = if self.oob { r#""oob""# } else { "" };
        self.output.extend_from_slice(
            format!(
                "{{\"execute\": \"qmp_capabilities\", \"arguments\": {{\"enable\": [{enable}]}}, \
                 \"id\": \"{NEGOTIATION}\"}}\r\n"
            )
            .as_bytes(),
        );
        self.phase = Phase::Negotiating;
    }

    fn reply(&mut self, message: Document) -> Result<Option<Incoming>, ClientError> {
        let root = message.root();
        let error = error_of(root);
        if error.is_none() && root.get("return").is_none() {
            return Err(protocol("neither a reply nor an event").with_received(message));
        }
        let id = match root.get("id") {
            Some(id) => id.as_u64(),
            // An old agent does not repeat it, and a server that could not parse a request
            // cannot; both answer in order.
            None => self
                .pending
                .iter()
                .find(|(_, out_of_band)| !**out_of_band)
                .map(|(id, _)| *id),
        };
        // QMP: "Clients should drop all the responses that have an unknown id".
        let Some(id) = id.filter(|id| self.pending.shift_remove(id).is_some()) else {
            return Ok(None);
        };
        Ok(Some(Incoming::Reply(id, Answer { message, error })))
    }
}

fn protocol(text: &str) -> ClientError {
    ClientError::new(ClientErrorKind::Protocol(text.to_owned()))
}

fn error_of(message: ValueRef<'_>) -> Option<Error> {
    let error = message.get("error")?;
    let text = |member| error.get(member).and_then(ValueRef::as_str).unwrap_or("");
    Some(Error::new(
        ErrorClass::from_name(text("class")),
        text("desc"),
    ))
}

impl Answer {
    /// The whole message.
    pub fn message(&self) -> ValueRef<'_> {
        self.message.root()
    }

    /// The return value, or the error that the server answered with.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn result(&self) -> Result<ValueRef<'_>, &Error> {
        match &self.error {
            Some(error) => Err(error),
            None => Ok(self.return_value()),
        }
    }

    fn return_value(&self) -> ValueRef<'_> {
        self.message
            .root()
            .get("return")
            .unwrap_or_else(no_arguments)
    }

    /// The return value as a type.
    ///
    /// # Errors
    ///
    /// The command failed, or the value does not fit the type.
    pub fn decode<T: Visit>(self, request: &Encoded) -> Result<T, ClientError> {
        if let Some(error) = self.error {
            return Err(request
                .error(ClientErrorKind::Server(error))
                .with_received(self.message));
        }
        let mut input = Input::at(self.return_value(), Mode::Lenient, Compat::ACCEPT);
        match T::read(&mut input) {
            Ok(value) => Ok(value),
            Err(error) => Err(request
                .error(ClientErrorKind::Reply(error))
                .with_received(self.message)),
        }
    }
}

/// How long a command that is not answered on success gets to fail.
pub(super) const SILENT_SUCCESS: Duration = Duration::from_secs(1);

/// The result of a request from what became of it. One that `is_answered` only when it fails
/// has succeeded when nothing comes.
pub(super) fn settle<T: Visit>(
    answer: Result<Answer, ClientErrorKind>,
    request: &Encoded,
    is_answered: bool,
) -> Result<T, ClientError> {
    match answer {
        Ok(answer) => answer.decode(request),
        Err(ClientErrorKind::Closed | ClientErrorKind::TimedOut(_)) if !is_answered => {
            let nothing = Answer {
                message: Document::default(),
                error: None,
            };
            nothing.decode(request)
        }
        Err(kind) => Err(request.error(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(core: &mut ClientCore, mut bytes: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(incoming) = core.receive(&mut bytes).unwrap() {
            seen.push(match incoming {
                Incoming::Ready => "ready".to_owned(),
                Incoming::Reply(id, answer) => format!("{id}: {}", answer.message.root()),
                Incoming::Event(event) => event.name().to_owned(),
            });
        }
        seen
    }

    fn send(core: &mut ClientCore, id: u64, out_of_band: bool) {
        let request = Encoded::new::<Value>("x", None, id, out_of_band).unwrap();
        core.sent(&request, out_of_band);
    }

    #[test]
    fn negotiation_and_replies_out_of_order() {
        let mut core = ClientCore::new(Dialect::Qmp, true, 0);
        assert!(
            all(
                &mut core,
                br#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#
            )
            .is_empty()
        );
        let output = String::from_utf8(core.take_output()).unwrap();
        assert!(output.contains(r#""enable": ["oob"]"#));
        assert_eq!(
            all(&mut core, br#"{"return": {}, "id": "negotiation"}"#),
            ["ready"]
        );
        send(&mut core, 1, false);
        send(&mut core, 2, true);
        assert_eq!(
            all(
                &mut core,
                br#"{"event": "STOP", "timestamp": {}} {"return": {}, "id": 2} {"return": 7, "id": 9}
                    {"id": 1, "error": {"class": "GenericError", "desc": "no"}}"#
            ),
            [
                "STOP",
                r#"2: {"return": {}, "id": 2}"#,
                r#"1: {"id": 1, "error": {"class": "GenericError", "desc": "no"}}"#,
            ]
        );
    }

    #[test]
    fn the_agent_is_synchronized_first() {
        let mut core = ClientCore::new(Dialect::GuestAgent, false, 84);
        let output = core.take_output();
        assert_eq!(output[0], 0xff);
        assert_eq!(
            all(
                &mut core,
                b"{\"return\": 1}\n{\"half\": \xff{\"return\": 42}\n"
            ),
            ["ready"]
        );
        send(&mut core, 1, false);
        send(&mut core, 2, false);
        assert_eq!(
            all(&mut core, b"{\"return\": 1}\n{\"return\": 2}\n"),
            [r#"1: {"return": 1}"#, r#"2: {"return": 2}"#]
        );
    }

    #[test]
    fn what_is_no_qmp_is_an_error() {
        let mut core = ClientCore::new(Dialect::Qmp, true, 0);
        let mut bytes: &[u8] = b"SSH-2.0-OpenSSH\r\n";
        assert!(core.receive(&mut bytes).is_err());
        let mut core = ClientCore::new(Dialect::Qmp, true, 0);
        let mut bytes: &[u8] = b"{\"return\": 1}";
        let error = core.receive(&mut bytes).unwrap_err();
        assert!(format!("{error:?}").contains(r#"received: {"return": 1}"#));
    }
}
