//! A QMP client of the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// How long a reply may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A negotiated connection.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
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
        let mut connection = Self::open_raw(socket)?;
        connection.read()?;
        connection.execute("qmp_capabilities", json!({}))?;
        Ok(connection)
    }

    /// Connects and nothing else.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub fn open_raw(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream),
            events: Vec::new(),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.reader.get_ref().write_all(bytes)?)
    }

    /// The next message, be it a reply or an event.
    ///
    /// # Errors
    ///
    /// The other side is gone, or sends what is no JSON.
    pub fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the other side has hung up");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// The whole reply to a command.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn exchange(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        self.send(format!("{request}\n").as_bytes())?;
        loop {
            let message = self.read()?;
            if message.get("event").is_none() {
                return Ok(message);
            }
            self.events.push(message);
        }
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

    /// The next event.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn event(&mut self) -> Result<Value> {
        if self.events.is_empty() {
            return self.read();
        }
        Ok(self.events.remove(0))
    }
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
