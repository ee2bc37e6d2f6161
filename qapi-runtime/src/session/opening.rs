//! How a connection begins.

use std::ops::RangeInclusive;

/// How long the methods of HTTP are that are looked for; those that exist have 3 to 17 letters.
const METHOD_LENGTH: RangeInclusive<usize> = 3..=32;

/// The first two bytes of a TLS connection: a record of the handshake, and the first byte of any version so far.
const TLS: [u8; 2] = [0x16, 0x03];

/// Looks at the first bytes of a connection, of QMP or of another protocol whose lines begin with small letters. A web page that
/// has a browser connect to a monitor makes it send a request of HTTP, with what is to be executed in its body, or the hello of
/// TLS, in which the page chooses the name of the host and what the server has given before.
///
/// A request of HTTP begins with a method in capitals and a space (`POST / HTTP/1.1`, `PRI * HTTP/2.0`). No JSON value and no
/// keyword has a capital at its start, and none of them a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// So many letters of what may be a method so far, and nothing but white space before them.
    Undecided {
        /// How many.
        n_letters: usize,
    },
    /// One byte of what may be TLS so far.
    MaybeTls,
    /// No other protocol, or it does not matter.
    Other,
    /// HTTP.
    Http,
    /// TLS.
    Tls,
}

impl Opening {
    /// At the start of a connection, or, unless it `looks`, of one of any protocol.
    pub fn new(looks: bool) -> Self {
        if looks {
            Self::Undecided { n_letters: 0 }
        } else {
            Self::Other
        }
    }

    /// Looks at the next bytes, before anything is made of them. Returns the protocol's name if they are of another one.
    pub fn look(&mut self, bytes: &[u8]) -> Option<&'static str> {
        for byte in bytes {
            *self = match *self {
                Self::Undecided { n_letters } => Self::after_letters(n_letters, *byte),
                Self::MaybeTls if *byte == TLS[1] => Self::Tls,
                Self::MaybeTls => Self::Other,
                Self::Other | Self::Http | Self::Tls => break,
            };
        }
        self.foreign_protocol()
    }

    fn after_letters(n_letters: usize, byte: u8) -> Self {
        let one_more = Self::Undecided {
            n_letters: n_letters + 1,
        };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if n_letters == 0 => Self::Undecided { n_letters },
            b'A'..=b'Z' if n_letters < *METHOD_LENGTH.end() => one_more,
            b'-' if (1..*METHOD_LENGTH.end()).contains(&n_letters) => one_more,
            b' ' if METHOD_LENGTH.contains(&n_letters) => Self::Http,
            byte if byte == TLS[0] && n_letters == 0 => Self::MaybeTls,
            _ => Self::Other,
        }
    }

    /// The name of the protocol, if it is another one.
    pub fn foreign_protocol(self) -> Option<&'static str> {
        match self {
            Self::Undecided { .. } | Self::MaybeTls | Self::Other => None,
            Self::Http => Some("HTTP"),
            Self::Tls => Some("TLS"),
        }
    }

    /// How many of the last bytes have not been decided about.
    pub(super) fn n_undecided(self) -> Option<usize> {
        match self {
            Self::Undecided { n_letters } => Some(n_letters),
            Self::MaybeTls => Some(1),
            Self::Other | Self::Http | Self::Tls => None,
        }
    }
}
