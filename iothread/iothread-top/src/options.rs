//! The command line.

use std::time::Duration;

use clap::Parser;
use qapi_runtime::client::Address;

/// Shows who holds the IOThreads of a QMP server, and how busy they are.
///
/// The server may be iothreadd or QEMU, which does not tell holders. Busy times come from this machine's kernel, so they are
/// shown for a unix socket only.
#[derive(Debug, Parser)]
#[command(name = "iothread-top", version)]
pub(crate) struct Options {
    /// The server's QMP socket: unix:PATH, a path, or tcp:HOST:PORT.
    #[arg(value_name = "ADDRESS", value_parser = parse_address)]
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

fn parse_address(text: &str) -> Result<Address, String> {
    if let Some(address) = text.strip_prefix("tcp:") {
        return match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Address::Tcp(address.to_owned()))
            }
            _ => Err("expected tcp:HOST:PORT".to_owned()),
        };
    }
    match text.strip_prefix("unix:").unwrap_or(text) {
        "" => Err("the path of the socket is missing".to_owned()),
        path => Ok(Address::unix(path)),
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
