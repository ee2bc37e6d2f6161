//! A QMP client of the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Failed;
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
    /// Connects and negotiates.
    ///
    /// # Errors
    ///
    /// What the socket or the other side says.
    pub fn open(socket: &Path) -> Result<Self, Failed> {
        let stream = loop {
            // Between the file and the listening socket there is a moment.
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    std::thread::yield_now();
                }
                Err(error) => return Err(error.into()),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            reader: BufReader::new(stream),
            events: Vec::new(),
        };
        connection.read()?;
        connection.execute("qmp_capabilities", json!({}))?;
        Ok(connection)
    }

    fn read(&mut self) -> Result<Value, Failed> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err("the other side has hung up".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// The whole reply to a command.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn exchange(&mut self, command: &str, arguments: &Value) -> Result<Value, Failed> {
        let request = json!({"execute": command, "arguments": arguments});
        self.reader
            .get_ref()
            .write_all(format!("{request}\n").as_bytes())?;
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
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Failed> {
        let mut reply = self.exchange(command, &arguments)?;
        match reply.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => Err(format!("{command} {arguments}: {reply}").into()),
        }
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn event(&mut self) -> Result<Value, Failed> {
        if self.events.is_empty() {
            return self.read();
        }
        Ok(self.events.remove(0))
    }
}
