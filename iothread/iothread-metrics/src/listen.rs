//! Where scrapes come from.

use std::io;
use std::net::TcpListener;
use std::str::FromStr;

use crate::system;

/// An address of this host, or a socket that somebody else has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `HOST:PORT`.
    Tcp(String),
    /// As systemd hands it over.
    Descriptor(i32),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_prefix("fd:") {
            return match number.parse() {
                Ok(number @ 3..) => Ok(Self::Descriptor(number)),
                Ok(_) | Err(_) => Err(format!(
                    "'{number}' is not the number of a descriptor from 3 on"
                )),
            };
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err("expected HOST:PORT or fd:NUMBER".to_owned());
        };
        if port.parse::<u16>().is_err() {
            return Err(format!("'{port}' is not a port"));
        }
        // Without a host it is this one, and nobody else comes in.
        Ok(Self::Tcp(match host {
            "" => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        }))
    }
}

impl Listen {
    /// Listens, without waiting for anybody.
    ///
    /// # Errors
    ///
    /// The address cannot be had, or the descriptor is no such socket.
    pub fn open(&self) -> io::Result<TcpListener> {
        let listener = match self {
            Self::Tcp(address) => TcpListener::bind(address.as_str()).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot listen at '{address}': {error}"),
                )
            })?,
            Self::Descriptor(number) => system::inherited(*number).map_err(|error| {
                io::Error::new(error.kind(), format!("descriptor {number}: {error}"))
            })?,
        };
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |text: &str| Ok(Listen::Tcp(text.to_owned()));
        assert_eq!("0.0.0.0:80".parse(), tcp("0.0.0.0:80"));
        assert_eq!("[::1]:80".parse(), tcp("[::1]:80"));
        assert_eq!(":80".parse(), tcp("127.0.0.1:80"));
        assert_eq!("fd:3".parse(), Ok(Listen::Descriptor(3)));
        for wrong in [
            "80",
            "host",
            "host:",
            "host:x",
            "host:70000",
            "fd:2",
            "fd:x",
        ] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
