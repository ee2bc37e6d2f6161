//! A QMP client of the tests.

use std::io::{BufRead as _, BufReader, ErrorKind, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A connection to a server.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    /// What the server said first; `null` if that was not asked for.
    pub greeting: Value,
    /// Events that came before replies, the oldest first.
    pub events: Vec<Value>,
}

impl Qmp {
    /// Connects and negotiates, without capabilities.
    ///
    /// # Errors
    ///
    /// What the socket or the other side says.
    pub fn open(socket: &Path) -> Result<Self> {
        let mut connection = Self::connect(socket)?;
        connection.execute("qmp_capabilities", json!({}))?;
        Ok(connection)
    }

    /// Connects and takes the greeting.
    ///
    /// # Errors
    ///
    /// What the socket or the other side says.
    pub fn connect(socket: &Path) -> Result<Self> {
        let mut connection = Self::open_raw(socket)?;
        connection.greeting = connection.read()?;
        Ok(connection)
    }

    /// Connects and nothing else.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub fn open_raw(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        let mut connection = Self {
            reader: BufReader::new(stream),
            greeting: Value::Null,
            events: Vec::new(),
        };
        connection.set_patience(PATIENCE)?;
        Ok(connection)
    }

    /// Sets how long a message may take to come, or to go.
    ///
    /// # Errors
    ///
    /// The time is zero.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        let stream = self.stream();
        stream.set_read_timeout(Some(patience))?;
        Ok(stream.set_write_timeout(Some(patience))?)
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.reader.get_ref().write_all(bytes)?)
    }

    /// The next message, be it a reply or an event; `None` once the other side has hung up.
    ///
    /// # Errors
    ///
    /// It takes too long, or is not JSON.
    pub fn next_message(&mut self) -> Result<Option<Value>> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(serde_json::from_str(&line).context(line)?)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message, be it a reply or an event.
    ///
    /// # Errors
    ///
    /// The other side is gone, or sends what is not JSON.
    pub fn read(&mut self) -> Result<Value> {
        let message = self.next_message()?;
        message.context("the other side has hung up")
    }

    /// All that still comes until the other side hangs up.
    ///
    /// # Errors
    ///
    /// As [`Qmp::next_message`].
    pub fn rest(&mut self) -> Result<Vec<Value>> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        let values = serde_json::Deserializer::from_slice(&rest).into_iter();
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// The next reply. Events that come before are kept.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn reply(&mut self) -> Result<Value> {
        loop {
            let message = self.read()?;
            if message.get("event").is_none() {
                return Ok(message);
            }
            self.events.push(message);
        }
    }

    /// The whole reply to a command.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn exchange(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        self.send(format!("{request}\n").as_bytes())?;
        self.reply()
    }

    /// The whole reply to a command that comes with a descriptor.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn exchange_with(
        &mut self,
        command: &str,
        arguments: &Value,
        descriptor: &impl AsFd,
    ) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments}).to_string();
        send_with(self.stream(), request.as_bytes(), descriptor);
        self.reply()
    }

    /// What a command returns.
    ///
    /// # Errors
    ///
    /// The command fails, or the connection is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut reply = self.exchange(command, &arguments)?;
        match reply.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => bail!("{command} {arguments}: {reply}"),
        }
    }

    /// The text that a command fails with.
    ///
    /// # Errors
    ///
    /// The command succeeds, or the connection is gone.
    pub fn refusal(&mut self, command: &str, arguments: &Value) -> Result<String> {
        let reply = self.exchange(command, arguments)?;
        let text = reply["error"]["desc"].as_str();
        let text = text.with_context(|| format!("{command} {arguments}: {reply}"))?;
        Ok(text.to_owned())
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// The connection is gone, or a reply comes that nobody has asked for.
    pub fn event(&mut self) -> Result<Value> {
        if !self.events.is_empty() {
            return Ok(self.events.remove(0));
        }
        let message = self.read()?;
        ensure!(message.get("event").is_some(), "no event: {message}");
        Ok(message)
    }

    /// Takes events until one is as wanted.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn wait_for(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Result<Value> {
        loop {
            let event = self.event()?;
            if is_it(&event) {
                return Ok(event);
            }
        }
    }
}

/// Sends bytes with a descriptor beside them.
///
/// # Panics
///
/// When the other side is gone.
pub fn send_with(stream: &UnixStream, bytes: &[u8], descriptor: &impl AsFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [IoSlice::new(bytes)];
    let sent = sendmsg(stream, &bytes, &mut ancillary, SendFlags::empty());
    sent.expect("the other side is there");
}

/// Replaces a text within all texts of a value.
#[must_use]
pub fn replace(value: &Value, from: &str, to: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(from, to)),
        Value::Array(values) => values.iter().map(|it| replace(it, from, to)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), replace(value, from, to)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
