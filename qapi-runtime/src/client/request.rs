//! A command as it is sent, and what is answered to it.

use std::sync::Arc;
use std::time::Duration;

use super::error::{Awaited, ClientError, ClientErrorKind};
use super::event::EventFilter;
use super::late::{LateReply, Outcome};
use crate::error::{Error, ErrorClass};
use crate::json::{Document, ValueRef, empty_object};
use crate::message::Request;
use crate::value::Value;
use crate::visit::{CompatPolicy, Input, Mode, Output, Visit};

/// Takes the answer to one request.
pub(super) type Deliver = Box<dyn FnOnce(Result<Answer, ClientErrorKind>) + Send>;

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub(super) command: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    pub(super) id: u64,
    pub(super) out_of_band: bool,
}

/// A request before it has a number.
#[derive(Debug)]
pub(super) struct Draft {
    command: Arc<str>,
    /// All but the number.
    head: Vec<u8>,
    out_of_band: bool,
    /// Not 'success-response' false.
    pub(super) is_answered: bool,
}

impl Draft {
    /// A request; `arguments` is an object, or nothing.
    pub(super) fn new<A: Visit>(
        command: &str,
        arguments: Option<&A>,
        out_of_band: bool,
    ) -> Result<Self, ClientError> {
        let mut output = Output::new();
        let writer = output.writer();
        writer.begin_object();
        writer.key(if out_of_band { "exec-oob" } else { "execute" });
        writer.string(command);
        if let Some(arguments) = arguments {
            output.writer().key("arguments");
            if let Err(error) = arguments.write(&mut output) {
                let kind = ClientErrorKind::Request(error.in_member("arguments"));
                return Err(ClientError::new(kind).for_command(command));
            }
        }
        output.writer().key("id");
        Ok(Self {
            command: command.into(),
            head: output.into_bytes(),
            out_of_band,
            is_answered: true,
        })
    }

    /// The same of a command with types.
    pub(super) fn of<R: Request>(request: &R, out_of_band: bool) -> Result<Self, ClientError> {
        let draft = Self::new(R::COMMAND, Some(request), out_of_band)?;
        Ok(Self {
            is_answered: R::SUCCESS_RESPONSE,
            ..draft
        })
    }

    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// The arguments, as they will be sent.
    pub(super) fn arguments(&self) -> Document {
        let request = self.with_id(0);
        // What was just written can be read.
        let message = Document::parse(request.as_bytes().trim_ascii_end()).unwrap_or_default();
        let arguments = message.root().get("arguments");
        arguments.map(ValueRef::to_document).unwrap_or_default()
    }

    /// An error about this request, which is not sent.
    pub(super) fn error(&self, kind: ClientErrorKind) -> ClientError {
        self.with_id(0).error(kind)
    }

    pub(super) fn with_id(&self, id: u64) -> Encoded {
        let mut bytes = Vec::with_capacity(self.head.len() + 24);
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(format!("{id}}}\r\n").as_bytes());
        Encoded {
            command: Arc::clone(&self.command),
            bytes: bytes.into(),
            id,
            out_of_band: self.out_of_band,
        }
    }
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
        Ok(Draft::new(command, arguments, out_of_band)?.with_id(id))
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

/// The answer to a request: the whole message, and what of it the server calls an error.
#[derive(Debug)]
pub struct Answer {
    pub(super) message: Document,
    pub(super) error: Option<Error>,
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
            .unwrap_or_else(empty_object)
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
        let mut input = Input::at(self.return_value(), Mode::Lenient, CompatPolicy::ACCEPT);
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

/// A request that was carried out, with its answer.
#[derive(Debug)]
pub(super) struct Exchanged {
    request: Encoded,
    answer: Answer,
    peer: Arc<str>,
}

impl Exchanged {
    /// What became of a request. One that `is_answered` only when it fails has succeeded when nothing comes.
    pub(super) fn settle(
        answer: Result<Answer, ClientErrorKind>,
        request: Encoded,
        is_answered: bool,
        peer: &Arc<str>,
    ) -> Result<Self, ClientError> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(ClientErrorKind::Closed | ClientErrorKind::TimedOut(_)) if !is_answered => Answer {
                message: Document::default(),
                error: None,
            },
            Err(kind) => return Err(request.error(kind)),
        };
        match answer.error {
            Some(error) => Err(request
                .error(ClientErrorKind::Server(error))
                .with_received(answer.message)),
            None => Ok(Self {
                request,
                answer,
                peer: Arc::clone(peer),
            }),
        }
    }

    /// The return value as a type.
    pub(super) fn decode<T: Visit>(self) -> Result<T, ClientError> {
        let decoded = self.answer.decode(&self.request);
        decoded.map_err(|error| error.after_sending(None).of_peer(&self.peer))
    }

    /// The return value.
    pub(super) fn value(&self) -> Value {
        self.returned().to_value()
    }

    /// The same as it came.
    pub(super) fn returned(&self) -> ValueRef<'_> {
        self.answer.return_value()
    }

    /// What was returned is not what it should be.
    pub(super) fn misfit(&self, why: &str) -> ClientError {
        let reply = LateReply::known(Outcome::Done(self.value()));
        let kind = ClientErrorKind::Protocol(why.to_owned());
        let error = self.request.error(kind).after_sending(Some(reply));
        error.of_peer(&self.peer)
    }

    /// The command was executed, and what was to follow has not.
    pub(super) fn without(&self, kind: ClientErrorKind, followers: &EventFilter) -> ClientError {
        let reply = LateReply::known(Outcome::Done(self.value()));
        let note = format!("it was executed, and is to be followed by {followers}");
        self.request
            .error(kind)
            .awaiting(Awaited::Event)
            .after_sending(Some(reply))
            .with_note(Some(note))
            .of_peer(&self.peer)
    }
}

/// The error in a message, if it is one.
pub(super) fn error_of(message: ValueRef<'_>) -> Option<Error> {
    let error = message.get("error")?;
    let text = |member| error.get(member).and_then(ValueRef::as_str).unwrap_or("");
    Some(Error::new(
        ErrorClass::from_name(text("class")),
        text("desc"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_follow_is_named() {
        let message = Document::parse(b"{'return': 7, 'id': 1}").unwrap();
        let request = Draft::new("del", None::<&Value>, false).unwrap();
        let answer = Answer {
            message,
            error: None,
        };
        let peer = "unix:a".into();
        let exchanged = Exchanged::settle(Ok(answer), request.with_id(1), true, &peer).unwrap();
        let followers = EventFilter::names(["A", "B"]).with_member("device", "d");
        let timed_out = ClientErrorKind::TimedOut(Duration::from_secs(2));
        let error = exchanged.without(timed_out, &followers.or(EventFilter::name("C")));
        assert_eq!(
            error.to_string(),
            "del: no event from 'unix:a' in 2s (it was executed, and is to be followed by A or B or C)"
        );
        assert_eq!(error.outcome(), Outcome::Done(Value::Int(7)));
        let closed = exchanged.without(ClientErrorKind::Closed, &EventFilter::all());
        assert_eq!(
            closed.to_string(),
            "del: the server at 'unix:a' closed the connection (it was executed, and is to be followed by any event)"
        );
        assert_eq!(closed.outcome(), Outcome::Done(Value::Int(7)));
    }
}
