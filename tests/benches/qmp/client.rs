//! A call through the clients, beside one that is written by hand with serde_json.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use qapi_runtime::client::{Address, CallOptions, Client, ConnectOptions, blocking};
use serde_json::{Value, json};

use super::measure::{Sample, nanoseconds};

/// The command; every server knows it, and it costs little.
const COMMAND: &str = "query-name";

/// What somebody writes who has no client: a line out, a line in.
pub(super) struct ByHand {
    stream: BufReader<UnixStream>,
    line: String,
    id: u64,
}

impl ByHand {
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let mut by_hand = Self {
            stream: BufReader::new(UnixStream::connect(socket)?),
            line: String::new(),
            id: 0,
        };
        by_hand.stream.read_line(&mut by_hand.line)?;
        by_hand.call("qmp_capabilities")?;
        Ok(by_hand)
    }

    fn call(&mut self, command: &str) -> Result<Value> {
        self.id += 1;
        let request = json!({"execute": command, "id": self.id});
        self.stream
            .get_ref()
            .write_all(format!("{request}\n").as_bytes())?;
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line)? == 0 {
                bail!("the server has closed the connection");
            }
            let mut reply: Value = serde_json::from_str(&self.line)?;
            if reply.get("event").is_some() {
                continue;
            }
            let is_answer = reply["id"] == self.id;
            match reply.get_mut("return") {
                Some(value) if is_answer => return Ok(value.take()),
                Some(_) | None => bail!("not the answer: {}", self.line),
            }
        }
    }

    pub(super) fn calls(&mut self, n_calls: usize, sample: &mut Sample) -> Result<()> {
        for _ in 0..n_calls {
            let start = Instant::now();
            self.call(COMMAND)?;
            sample.push(nanoseconds(start));
        }
        Ok(())
    }
}

/// The client for threads.
pub(super) fn blocking(socket: &Path) -> Result<blocking::Client> {
    let options = ConnectOptions::new(Address::unix(socket));
    Ok(blocking::Client::connect(options)?)
}

pub(super) fn calls(client: &blocking::Client, n_calls: usize, sample: &mut Sample) -> Result<()> {
    for _ in 0..n_calls {
        let start = Instant::now();
        client.execute_raw(COMMAND, None, CallOptions::new())?;
        sample.push(nanoseconds(start));
    }
    Ok(())
}

/// The client for tasks, on the one thread of its runtime.
pub(super) struct Tasks {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Tasks {
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let options = ConnectOptions::new(Address::unix(socket));
        let client = runtime.block_on(Client::connect(options))?;
        Ok(Self { runtime, client })
    }

    pub(super) fn calls(&mut self, n_calls: usize, sample: &mut Sample) -> Result<()> {
        self.runtime.block_on(async {
            for _ in 0..n_calls {
                let start = Instant::now();
                let call = self.client.execute_raw(COMMAND, None, CallOptions::new());
                call.await?;
                sample.push(nanoseconds(start));
            }
            Ok(())
        })
    }
}
