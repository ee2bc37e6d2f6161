//! Who can reach a monitor, or the metrics: this machine alone, unless more is allowed.
//!
//! Monitors have no passwords, and who can connect to one can do whatever the server can. Where only the loopback
//! interface leads to them, these are the users of this machine.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;

use rustix::net::getsockname;
use thiserror::Error;

/// From where monitors may be reached over the internet's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    ThisHost,
    /// `--allow-remote`
    AllHosts,
}

/// What is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    Monitor,
    Metrics,
}

/// Something that other hosts could reach.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("other hosts could reach {} at {address}, and {} no password: see --allow-remote", .served.name(), .served.has())]
pub(crate) struct RemoteError {
    served: Served,
    address: SocketAddr,
}

impl Served {
    fn name(self) -> &'static str {
        match self {
            Self::Monitor => "a monitor",
            Self::Metrics => "the metrics",
        }
    }

    fn has(self) -> &'static str {
        match self {
            Self::Monitor => "it has",
            Self::Metrics => "they have",
        }
    }
}

impl Reach {
    /// Checks the addresses at which something is to be. With `--allow-remote` there is a warning instead of an error.
    ///
    /// # Errors
    ///
    /// One of them is not an address of the loopback interface.
    pub(crate) fn check(self, served: Served, addresses: &[SocketAddr]) -> Result<(), RemoteError> {
        let remote = addresses.iter().find(|address| !is_loopback(address));
        let Some(&address) = remote else {
            return Ok(());
        };
        match self {
            Self::ThisHost => Err(RemoteError { served, address }),
            Self::AllHosts => {
                crate::report::report(&format!(
                    "warning: other hosts can reach {} at {address}, and {} no password",
                    served.name(),
                    served.has()
                ));
                Ok(())
            }
        }
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    // An IPv4 address may be written as one of IPv6.
    address.ip().to_canonical().is_loopback()
}

/// All addresses of a host.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// The own address of a socket, if it is one of the internet.
pub(crate) fn local_address(socket: impl AsFd) -> Option<SocketAddr> {
    let address = getsockname(socket).ok()?;
    SocketAddr::try_from(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_alone() {
        let check = |texts: &[&str]| {
            let addresses: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Reach::ThisHost.check(Served::Monitor, &addresses).is_ok()
        };
        for local in [
            "127.0.0.1:1",
            "127.200.3.4:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(check(&[local]), "{local}");
        }
        for remote in [
            "0.0.0.0:1",
            "[::]:1",
            "128.0.0.1:1",
            "10.0.0.1:1",
            "[fe80::1]:1",
            "[::ffff:0.0.0.0]:1",
            "[::127.0.0.1]:1",
        ] {
            assert!(!check(&[remote]), "{remote}");
            assert!(!check(&["127.0.0.1:1", remote]), "{remote}");
        }
        assert!(check(&[]));
    }
}
