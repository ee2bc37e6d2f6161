//! The command line.

use std::time::Duration;

use clap::Parser;
use qapi_runtime::address::Address;

/// Shows who holds the IOThreads of a QMP server, and how busy they are.
///
/// The server may be iothreadd or QEMU, which does not tell holders. Busy times come from this machine's kernel, so they are
/// shown only for a server behind a unix socket that has made it itself, in this namespace of processes.
#[derive(Debug, Parser)]
#[command(name = "iothread-top", version)]
pub(crate) struct Options {
    /// The server's QMP monitor: unix:PATH, a path, tcp:HOST:PORT, vsock:CID:PORT, fd:NUMBER, or exec:COMMAND.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: Address,

    /// Seconds between two looks.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) interval: f64,

    /// Print tables one after the other, without a screen; so it is where the output is no terminal.
    #[arg(long, short = 'b')]
    pub(crate) batch: bool,

    /// Print so many tables, then end; for ever unless given. Not for a screen.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Show the threads that the server keeps for itself, too.
    #[arg(long, short = 'i')]
    pub(crate) internal: bool,
}

impl Options {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }
}

/// From a tenth of a second, so that looking is not what keeps the server busy, to a day.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) => Err("expected 0.1 to 86400 seconds".to_owned()),
        Err(_) => Err("expected a number of seconds".to_owned()),
    }
}
