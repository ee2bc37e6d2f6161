//! The life of one client.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::Counters;
use super::commands::{Expected, push_request};
use crate::Random;

/// How long a client waits for a message.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes of the `id` of a client that reads slowly: its replies fill what the server keeps.
const PADDING: usize = 8 << 10;

/// Commands that such a client sends before it reads.
const SLOW_BATCH: u64 = 256;

/// What a client is like; by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    Patient,
    /// Sends much before it reads.
    Slow,
    /// Leaves in the middle of a command, and comes back.
    Restless,
}

struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
}

impl Connection {
    async fn open(socket: &Path, counters: &Counters) -> Result<Self> {
        let (reader, writer) = connect(socket).await?.into_split();
        let mut connection = Self {
            reader: BufReader::new(reader),
            writer,
            line: Vec::new(),
        };
        let greeting = connection.receive(counters).await?;
        if greeting.get("QMP").is_none() {
            bail!("greeted with {greeting}");
        }
        connection
            .send(b"{\"execute\": \"qmp_capabilities\"}")
            .await?;
        connection.receive(counters).await?;
        Ok(connection)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.writer.write_all(bytes).await?)
    }

    /// The next message that is not an event.
    async fn receive(&mut self, counters: &Counters) -> Result<Value> {
        receive(&mut self.reader, &mut self.line, counters).await
    }
}

/// Connects; a queue that is full for the moment is waited for.
async fn connect(socket: &Path) -> Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::task::yield_now().await,
            result => return Ok(result?),
        }
    }
}

async fn receive(
    reader: &mut BufReader<OwnedReadHalf>,
    line: &mut Vec<u8>,
    counters: &Counters,
) -> Result<Value> {
    loop {
        line.clear();
        let read = tokio::time::timeout(PATIENCE, reader.read_until(b'\n', line));
        if read.await.context("no answer")?? == 0 {
            bail!("the server has closed the connection");
        }
        let message: Value = serde_json::from_slice(line)?;
        if message.get("event").is_none() {
            return Ok(message);
        }
        counters.n_events.fetch_add(1, Ordering::Relaxed);
    }
}

fn count(expected: &Expected, reply: &Value, counters: &Counters) -> Result<()> {
    let is_error = expected.check(reply).map_err(|text| anyhow!(text))?;
    counters.n_replies.fetch_add(1, Ordering::Relaxed);
    counters
        .n_errors
        .fetch_add(u64::from(is_error), Ordering::Relaxed);
    Ok(())
}

/// Sends `quota` commands and checks their replies.
pub(super) async fn run(number: u64, quota: u64, socket: &Path, counters: &Counters) -> Result<()> {
    let temper = match number % 20 {
        7 => Temper::Slow,
        13 => Temper::Restless,
        _ => Temper::Patient,
    };
    let mut random = Random::new(number);
    let mut connection = Connection::open(socket, counters).await?;
    let mut n_done = 0;
    while n_done < quota {
        let left = quota - n_done;
        let n_commands = match temper {
            Temper::Slow => left.min(SLOW_BATCH),
            Temper::Patient | Temper::Restless => left.min(1 + random.number() % 16),
        };
        let padding = if temper == Temper::Slow { PADDING } else { 0 };
        let mut bytes = Vec::new();
        let mut expected: VecDeque<Expected> = (n_done..n_done + n_commands)
            .map(|command| push_request(&mut random, number, command, padding, &mut bytes))
            .collect();
        n_done += n_commands;
        if temper == Temper::Slow {
            slow_batch(&mut connection, &bytes, &mut expected, counters).await?;
            continue;
        }
        connection.send(&bytes).await?;
        while let Some(expected) = expected.pop_front() {
            let reply = connection.receive(counters).await?;
            count(&expected, &reply, counters)?;
        }
        if temper == Temper::Restless {
            // What comes for this is of no interest any more.
            connection
                .send(b"{\"execute\": \"query-name\"} {\"execute\": [")
                .await?;
            counters.n_disconnects.fetch_add(1, Ordering::Relaxed);
            connection = Connection::open(socket, counters).await?;
        }
    }
    // Nothing may come that nobody has asked for.
    connection
        .send(b"{\"execute\": \"query-name\", \"id\": \"last\"}")
        .await?;
    let last = connection.receive(counters).await?;
    if last["id"] != "last" {
        bail!("a reply too many: {last}");
    }
    Ok(())
}

/// Begins to read only when nothing more can be sent, or a while after all was sent.
async fn slow_batch(
    connection: &mut Connection,
    bytes: &[u8],
    expected: &mut VecDeque<Expected>,
    counters: &Counters,
) -> Result<()> {
    let Connection {
        reader,
        writer,
        line,
    } = connection;
    let send = async { anyhow::Ok(writer.write_all(bytes).await?) };
    let read = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        while let Some(expected) = expected.pop_front() {
            let reply = receive(reader, line, counters).await?;
            count(&expected, &reply, counters)?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(send, read)?;
    Ok(())
}

/// Plugs and unplugs devices one after the other, each of which makes two events for everybody.
pub(super) async fn plug(n_devices: usize, socket: &Path) -> Result<()> {
    if n_devices == 0 {
        return Ok(());
    }
    let counters = Counters::default();
    let mut connection = Connection::open(socket, &counters).await?;
    let node =
        "{'execute': 'blockdev-add', 'arguments': {'driver': 'null-co', 'node-name': 'load'}}";
    let device = "{'execute': 'device_add', 'arguments': \
                  {'driver': 'virtio-blk-pci', 'id': 'load', 'drive': 'load'}}";
    let removal = "{'execute': 'device_del', 'arguments': {'id': 'load'}}";
    connection.send(node.as_bytes()).await?;
    succeed(&connection.receive(&counters).await?)?;
    for _ in 0..n_devices {
        // Removal ends with the second event.
        let end = counters.n_events.load(Ordering::Relaxed) + 2;
        for request in [device, removal] {
            connection.send(request.as_bytes()).await?;
            succeed(&connection.receive(&counters).await?)?;
        }
        while counters.n_events.load(Ordering::Relaxed) < end {
            connection.send(b"{'execute': 'query-name'}").await?;
            succeed(&connection.receive(&counters).await?)?;
        }
    }
    Ok(())
}

fn succeed(reply: &Value) -> Result<()> {
    match reply.get("return") {
        Some(_) => Ok(()),
        None => bail!("{reply}"),
    }
}
