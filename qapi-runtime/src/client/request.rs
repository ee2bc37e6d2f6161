//! A command as it is sent, and what is answered to it.

use std::sync::Arc;
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use crate::error::{Error, ErrorClass};
use crate::json::{Document, ValueRef, empty_object};
use crate::visit::{CompatPolicy, Input, Mode, Output, Visit};

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub(super) command: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    pub(super) id: u64,
    pub(super) out_of_band: bool,
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
        output.uint(id);
        output.writer().end_object();
        let mut bytes = output.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        Ok(Self {
            command: command.into(),
            bytes: bytes.into(),
            id,
            out_of_band,
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

/// The error in a message, if it is one.
pub(super) fn error_of(message: ValueRef<'_>) -> Option<Error> {
    let error = message.get("error")?;
    let text = |member| error.get(member).and_then(ValueRef::as_str).unwrap_or("");
    Some(Error::new(
        ErrorClass::from_name(text("class")),
        text("desc"),
    ))
}
