//! How a connection begins.

use std::ops::RangeInclusive;

/// How long the methods of HTTP are that are looked for; those that exist have 3 to 17 letters.
const METHOD_LENGTH: RangeInclusive<usize> = 3..=32;

/// Looks at the first bytes of a connection, of QMP or of another protocol whose lines begin with small letters. A web page that
/// has a browser connect to a monitor makes it send a request of HTTP, with what is to be executed in its body.
///
/// A request of HTTP begins with a method in capitals and a space (`POST / HTTP/1.1`, `PRI * HTTP/2.0`). No JSON value and no
/// keyword has a capital at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// So many letters of what may be a method so far, and nothing but white space before them.
    Undecided {
        /// How many.
        n_letters: usize,
    },
    /// Not HTTP, or nobody wants to know.
    Other,
    /// HTTP.
    Http,
}

impl Opening {
    /// At the start of a connection, or, unless it `looks`, of one that nobody minds.
    pub fn new(looks: bool) -> Self {
        if looks {
            Self::Undecided { n_letters: 0 }
        } else {
            Self::Other
        }
    }

    /// Looks at the next bytes, before anything is made of them. Whether they are HTTP.
    pub fn look(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            let Self::Undecided { n_letters } = *self else {
                break;
            };
            *self = match byte {
                b' ' | b'\t' | b'\r' | b'\n' if n_letters == 0 => continue,
                b'A'..=b'Z' if n_letters < *METHOD_LENGTH.end() => Self::Undecided {
                    n_letters: n_letters + 1,
                },
                b'-' if (1..*METHOD_LENGTH.end()).contains(&n_letters) => Self::Undecided {
                    n_letters: n_letters + 1,
                },
                b' ' if METHOD_LENGTH.contains(&n_letters) => Self::Http,
                _ => Self::Other,
            };
        }
        *self == Self::Http
    }
}
