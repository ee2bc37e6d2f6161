//! Recordings of a connection.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::json::{Document, ParseError, ValueRef};
use crate::value::Value;

/// One message of a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// From the client.
    Sent(Value),
    /// From the server.
    Received(Value),
}

/// A recording in the making; shared by the client and whoever wants to keep it.
///
/// As text it is one JSON object a line, `{"sent": ...}` or `{"received": ...}`.
#[derive(Debug, Default)]
pub struct Transcript {
    messages: Mutex<Vec<Recorded>>,
}

impl Transcript {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn sent(&self, bytes: &[u8]) {
        // What is no JSON is the byte that resets a parser.
        if let Ok(message) = Document::parse(bytes.strip_prefix(&[0xff]).unwrap_or(bytes)) {
            self.push(Recorded::Sent(message.root().to_value()));
        }
    }

    pub(super) fn received(&self, message: ValueRef<'_>) {
        self.push(Recorded::Received(message.to_value()));
    }

    fn push(&self, message: Recorded) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }

    /// The messages so far.
    pub fn messages(&self) -> Vec<Recorded> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for message in self.messages() {
            let (direction, value) = match message {
                Recorded::Sent(value) => ("sent", value),
                Recorded::Received(value) => ("received", value),
            };
            let line = Value::from_iter([(direction.to_owned(), value)]);
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// A line that is no JSON; lines with other members are skipped.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut messages = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = Document::parse(line.as_bytes())?;
            if let Some(value) = line.root().get("sent") {
                messages.push(Recorded::Sent(value.to_value()));
            } else if let Some(value) = line.root().get("received") {
                messages.push(Recorded::Received(value.to_value()));
            }
        }
        Ok(Self {
            messages: Mutex::new(messages),
        })
    }

    /// Writes the text form to a file.
    ///
    /// # Errors
    ///
    /// What writing the file refuses.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.to_text())
    }
}
