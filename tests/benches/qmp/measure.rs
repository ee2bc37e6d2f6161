//! A client that counts lines and time, and nothing else.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

/// Times in nanoseconds.
pub(super) type Sample = Vec<u64>;

/// A server, seen by its client.
pub(super) struct Peer {
    name: &'static str,
    stream: UnixStream,
    buffer: Box<[u8]>,
    n_received: usize,
}

impl Peer {
    pub(super) fn open_echo(name: &'static str, socket: &Path) -> Result<Self> {
        Ok(Self {
            name,
            stream: UnixStream::connect(socket)?,
            buffer: vec![0; 1 << 18].into(),
            n_received: 0,
        })
    }

    pub(super) fn open(name: &'static str, socket: &Path) -> Result<Self> {
        let mut peer = Self::open_echo(name, socket)?;
        peer.read_lines(1)?;
        peer.stream
            .write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
        peer.read_lines(1)?;
        Ok(peer)
    }

    /// Reads until so many lines have ended.
    fn read_lines(&mut self, mut n_lines: usize) -> Result<()> {
        self.n_received = 0;
        while n_lines > 0 {
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                bail!("{} has closed the connection", self.name);
            }
            self.n_received += count;
            let ends = self.buffer[..count].iter().filter(|byte| **byte == b'\n');
            n_lines = n_lines.saturating_sub(ends.count());
        }
        Ok(())
    }

    /// How long the last replies were.
    pub(super) fn n_received_last(&self) -> usize {
        self.n_received
    }

    /// Waits for each reply before the next request.
    pub(super) fn round_trips(
        &mut self,
        request: &[u8],
        n_requests: usize,
        sample: &mut Sample,
    ) -> Result<()> {
        for _ in 0..n_requests {
            let start = Instant::now();
            self.stream.write_all(request)?;
            self.read_lines(1)?;
            sample.push(nanoseconds(start));
        }
        Ok(())
    }

    /// Sends all requests, a thread of its own reads the replies; the time for one.
    pub(super) fn pipelined(
        &mut self,
        request: &[u8],
        n_requests: usize,
        sample: &mut Sample,
    ) -> Result<()> {
        let all = request.repeat(n_requests);
        let mut writer = self.stream.try_clone()?;
        let start = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let sender = scope.spawn(move || writer.write_all(&all));
            self.read_lines(n_requests)?;
            match sender.join() {
                Ok(sent) => Ok(sent?),
                Err(_) => bail!("the sender has panicked"),
            }
        })?;
        let n_requests = u64::try_from(n_requests).unwrap_or(u64::MAX);
        sample.push(nanoseconds(start) / n_requests);
        Ok(())
    }
}

pub(super) fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The median; sorts the sample.
pub(super) fn median_ns(sample: &mut Sample) -> f64 {
    sample.sort_unstable();
    sample.get(sample.len() / 2).copied().unwrap_or(0) as f64
}
