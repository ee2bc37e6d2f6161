//! Many clients at once, of all tempers, each of which knows what it has to be answered.

mod client;
mod commands;
mod isolation;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

pub use self::isolation::{Isolation, measure as measure_isolation};
pub use self::watch::{Resident, resident_bytes};

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients that are connected at any time. One in twenty reads slowly, one in twenty leaves in the
    /// middle of a command, again and again.
    pub n_clients: usize,
    /// Commands in all that must be answered.
    pub n_commands: u64,
    /// Clients beside those that never read anything, although events are sent to them.
    pub n_silent: usize,
    /// Devices that are plugged and unplugged meanwhile, so that there are events; `iothreadd` only.
    pub n_devices: usize,
}

/// What a test machine does in a moment.
pub const SHORT: Load = Load {
    n_clients: 100,
    n_commands: 10_000,
    n_silent: 5,
    n_devices: 20,
};

/// What was done.
#[derive(Clone, Debug)]
pub struct Report {
    /// Replies that were what they had to be, all of them.
    pub n_replies: u64,
    /// How many of these are errors.
    pub n_errors: u64,
    /// Events that were received.
    pub n_events: u64,
    /// Connections that were dropped in the middle of a command.
    pub n_disconnects: u64,
    /// From the first command to the last reply.
    pub elapsed: Duration,
    /// The server's memory at each tenth of the commands.
    pub resident: Resident,
}

/// What all clients count.
#[derive(Debug, Default)]
struct Counters {
    n_replies: AtomicU64,
    n_errors: AtomicU64,
    n_events: AtomicU64,
    n_disconnects: AtomicU64,
}

/// Loads the server that listens on `socket` and whose process is `process_id`.
///
/// # Errors
///
/// The first reply that is missing, comes twice, or is not what it has to be.
pub fn run(load: Load, socket: &Path, process_id: u32) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(drive(load, socket.to_owned(), process_id))
}

async fn drive(load: Load, socket: PathBuf, process_id: u32) -> Result<Report> {
    let counters = Arc::new(Counters::default());
    let mut silent = Vec::new();
    for _ in 0..load.n_silent {
        silent.push(negotiate_and_fall_silent(&socket).await?);
    }
    let mut clients = JoinSet::new();
    let start = Instant::now();
    let n_clients = u64::try_from(load.n_clients)?;
    for number in 0..n_clients {
        let quota = load.n_commands / n_clients + u64::from(number < load.n_commands % n_clients);
        let (socket, counters) = (socket.clone(), Arc::clone(&counters));
        clients.spawn(async move {
            let run = client::run(number, quota, &socket, &counters).await;
            run.with_context(|| format!("client {number}"))
        });
    }
    let n_devices = load.n_devices;
    clients.spawn(async move { client::plug(n_devices, &socket).await.context("plugging") });

    let mut watch = watch::Watch::new(process_id, load.n_commands);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let elapsed = loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                Some(result) => result??,
                None => break start.elapsed(),
            },
            _ = tick.tick() => watch.look(counters.n_replies.load(Ordering::Relaxed))?,
        }
    };
    watch.look(counters.n_replies.load(Ordering::Relaxed))?;
    let n_replies = counters.n_replies.load(Ordering::Relaxed);
    if n_replies != load.n_commands {
        bail!("{n_replies} replies to {} commands", load.n_commands);
    }
    Ok(Report {
        n_replies,
        n_errors: counters.n_errors.load(Ordering::Relaxed),
        n_events: counters.n_events.load(Ordering::Relaxed),
        n_disconnects: counters.n_disconnects.load(Ordering::Relaxed),
        elapsed,
        resident: watch.into_resident(),
    })
}

async fn negotiate_and_fall_silent(socket: &Path) -> Result<UnixStream> {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = UnixStream::connect(socket).await?;
    stream
        .write_all(b"{\"execute\": \"qmp_capabilities\"}\n")
        .await?;
    Ok(stream)
}
