//! Where QMP peers are: one type and one text form for every program and library.
//!
//! | text | what it is |
//! |---|---|
//! | `unix:PATH` | a unix socket in the file system |
//! | `unix:NAME,abstract=on` | a unix socket with an abstract name (Linux) |
//! | `tcp:HOST:PORT` | a TCP socket; without a host it is this one, and an IPv6 address stands in brackets |
//! | `vsock:CID:PORT` | a socket between a virtual machine and its host |
//! | `fd:NUMBER` | a descriptor that the program was started with, from 3 on |
//! | `pipe:NAME` | what `-chardev pipe,path=NAME` of QEMU makes: a named pipe (Windows); elsewhere `NAME.in` and `NAME.out`, or one file |
//! | `exec:COMMAND` | a command for the shell, whose standard input and output are the session |
//! | a path | the same as `unix:`, with commas as they are |
//!
//! In `unix:`, `tcp:`, `vsock:` and `fd:` a comma begins a setting, and a doubled one stands for itself, as in QEMU's options.
//! `libvirt:` is kept for later.
//!
//! ```
//! use qapi_runtime::address::Address;
//!
//! let address: Address = "unix:/run/vm,,1.qmp".parse()?;
//! assert_eq!(address, Address::unix("/run/vm,1.qmp"));
//! assert_eq!(address.to_string(), "unix:/run/vm,,1.qmp");
//! # Ok::<(), qapi_runtime::address::AddressError>(())
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a peer is.
///
/// What is printed is parsed as the same address again, unless a path or a name is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket with an abstract name (Linux).
    Abstract(Vec<u8>),
    /// A TCP socket, `HOST:PORT`; without a host it is this one.
    Tcp(String),
    /// A socket between a virtual machine and its host.
    Vsock {
        /// The machine: 1 is this one, 2 the host.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// A descriptor that the program was started with. There is one connection, which cannot be made again.
    Fd(i32),
    /// What `-chardev pipe` of QEMU makes. On Windows it is the named pipe of this name, or of a name such as `\\.\pipe\NAME`.
    /// Elsewhere these are two FIFOs: the server reads `NAME.in` and writes `NAME.out`; or else it is the file NAME.
    ///
    /// On FIFOs, QEMU greets once, and does not see its client leave: a second one is not greeted.
    Pipe(PathBuf),
    /// A command for the shell; its standard input and output are the session. It is started anew for each connection, and is
    /// expected to end when its input does.
    Exec(String),
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// Something is missing: the path, the port, the command.
    Missing(&'static str),
    /// No such kind of address.
    UnknownKind(String),
    /// A kind of address that is kept for later.
    NotYet(&'static str),
    /// Not a number in its range.
    NotANumber {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
    },
    /// A setting that the address does not have.
    InvalidParameter(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "the {what} is missing"),
            Self::UnknownKind(kind) => write!(
                f,
                "'{kind}' is not an address: unix:PATH, tcp:HOST:PORT, vsock:CID:PORT, pipe:NAME, \
                 fd:NUMBER or exec:COMMAND is expected"
            ),
            Self::NotYet(kind) => write!(f, "addresses of the kind '{kind}' are not supported yet"),
            Self::NotANumber { what, text } => write!(f, "'{text}' is not {what}"),
            Self::InvalidParameter(setting) => write!(f, "invalid parameter '{setting}'"),
        }
    }
}

impl std::error::Error for AddressError {}

/// Numbers below are the standard streams, which are not sockets of others.
const FIRST_DESCRIPTOR: i32 = 3;

impl Address {
    /// A unix socket in the file system.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix(path.into())
    }

    /// An address without settings, where a comma is nothing special.
    ///
    /// # Errors
    ///
    /// See [`AddressError`].
    pub fn without_settings(text: &str) -> Result<Self, AddressError> {
        let Some((kind, rest)) = split_kind(text) else {
            return match text {
                "" => Err(AddressError::Missing("address")),
                path => Ok(Self::unix(path)),
            };
        };
        match kind {
            "unix" if rest.is_empty() => Err(AddressError::Missing("path of the socket")),
            "unix" => Ok(Self::unix(rest)),
            "tcp" => parse_tcp(rest),
            "vsock" => parse_vsock(rest),
            "fd" => match rest.parse() {
                Ok(number) if number >= FIRST_DESCRIPTOR => Ok(Self::Fd(number)),
                Ok(_) | Err(_) => Err(AddressError::NotANumber {
                    what: "the number of a descriptor from 3 on",
                    text: rest.to_owned(),
                }),
            },
            "exec" if rest.trim().is_empty() => Err(AddressError::Missing("command")),
            "exec" => Ok(Self::Exec(rest.to_owned())),
            "libvirt" => Err(AddressError::NotYet("libvirt:")),
            "pipe" if rest.is_empty() => Err(AddressError::Missing("name of the pipe")),
            "pipe" => Ok(Self::Pipe(rest.into())),
            _ => Err(AddressError::UnknownKind(text.to_owned())),
        }
    }

    /// Whether a text names the kind of its address; otherwise it is a path.
    #[must_use]
    pub fn names_kind(text: &str) -> bool {
        split_kind(text).is_some()
    }
}

/// The kind in front of the colon. A path has a slash before its first colon, or none of either, or the letter of a drive.
fn split_kind(text: &str) -> Option<(&str, &str)> {
    let (kind, rest) = text.split_once(':')?;
    let is_kind = kind.len() > 1 && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_kind.then_some((kind, rest))
}

fn parse_tcp(rest: &str) -> Result<Address, AddressError> {
    let (_, port) = rest.rsplit_once(':').ok_or(AddressError::Missing("port"))?;
    match port.parse::<u16>() {
        Ok(_) => Ok(Address::Tcp(rest.to_owned())),
        Err(_) => Err(AddressError::NotANumber {
            what: "a port number",
            text: port.to_owned(),
        }),
    }
}

fn parse_vsock(rest: &str) -> Result<Address, AddressError> {
    let number = |what, text: &str| {
        text.parse().map_err(|_| AddressError::NotANumber {
            what,
            text: text.to_owned(),
        })
    };
    let (cid, port) = rest.split_once(':').ok_or(AddressError::Missing("port"))?;
    Ok(Address::Vsock {
        cid: number("the number of a machine", cid)?,
        port: number("a port number", port)?,
    })
}

/// Splits a text at its commas: what is in front of the settings, and the settings. A doubled comma stands for itself.
#[must_use]
pub fn split_settings(text: &str) -> (String, Vec<String>) {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch == ',' && chars.next_if_eq(&',').is_none() {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(ch);
        }
    }
    let settings = parts.split_off(1);
    (parts.pop().unwrap_or_default(), settings)
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match split_kind(text) {
            // A command has commas of its own, and so has a path.
            None | Some(("exec", _)) => return Self::without_settings(text),
            Some(_) => {}
        }
        let (plain, settings) = split_settings(text);
        let mut is_abstract = false;
        let address = Self::without_settings(&plain)?;
        for setting in settings {
            match (&address, setting.as_str()) {
                (Self::Unix(_), "abstract" | "abstract=on") => is_abstract = true,
                (Self::Unix(_), "abstract=off") => is_abstract = false,
                _ => return Err(AddressError::InvalidParameter(setting)),
            }
        }
        Ok(match address {
            Self::Unix(name) if is_abstract => {
                Self::Abstract(name.into_os_string().into_encoded_bytes())
            }
            address => address,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", doubled(&path.to_string_lossy())),
            Self::Abstract(name) => {
                write!(
                    f,
                    "unix:{},abstract=on",
                    doubled(&String::from_utf8_lossy(name))
                )
            }
            Self::Tcp(address) => write!(f, "tcp:{}", doubled(address)),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Pipe(name) => write!(f, "pipe:{}", doubled(&name.to_string_lossy())),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Exec(command) => write!(f, "exec:{command}"),
        }
    }
}

fn doubled(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        text.parse()
            .map_err(|error: AddressError| error.to_string())
    }

    #[test]
    fn every_kind() {
        for (text, address) in [
            ("unix:/run/x", Address::unix("/run/x")),
            ("unix:a,,b", Address::unix("a,b")),
            ("unix:x,abstract=on", Address::Abstract(b"x".to_vec())),
            ("tcp:[::1]:4444", Address::Tcp("[::1]:4444".to_owned())),
            ("tcp::4444", Address::Tcp(":4444".to_owned())),
            ("vsock:3:1234", Address::Vsock { cid: 3, port: 1234 }),
            ("pipe:/run/vm1", Address::Pipe("/run/vm1".into())),
            ("pipe:a,,b", Address::Pipe("a,b".into())),
            ("fd:3", Address::Fd(3)),
            (
                "exec:ssh host socat - /x,y",
                Address::Exec("ssh host socat - /x,y".to_owned()),
            ),
        ] {
            assert_eq!(parse(text), Ok(address.clone()));
            assert_eq!(address.to_string(), text);
        }
        for path in ["/run/x", "x", "./a:b", "/a,b", r"C:\run\x", "c:x"] {
            assert_eq!(parse(path), Ok(Address::unix(path)));
        }
    }

    #[test]
    fn texts_that_are_no_addresses() {
        for (text, error) in [
            ("", "the address is missing"),
            ("unix:", "the path of the socket is missing"),
            ("tcp:host", "the port is missing"),
            ("tcp:host:x", "'x' is not a port number"),
            ("tcp:host:70000", "'70000' is not a port number"),
            ("vsock:3", "the port is missing"),
            ("vsock:me:1", "'me' is not the number of a machine"),
            ("fd:2", "'2' is not the number of a descriptor from 3 on"),
            ("exec: ", "the command is missing"),
            (
                "libvirt:vm",
                "addresses of the kind 'libvirt:' are not supported yet",
            ),
            ("pipe:", "the name of the pipe is missing"),
            ("pipe:x,server=on", "invalid parameter 'server=on'"),
            ("unix:x,mode=600", "invalid parameter 'mode=600'"),
            ("tcp:h:1,abstract=on", "invalid parameter 'abstract=on'"),
            (
                "udp:x:1",
                "'udp:x:1' is not an address: unix:PATH, tcp:HOST:PORT, vsock:CID:PORT, pipe:NAME, fd:NUMBER or \
                 exec:COMMAND is expected",
            ),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed_as_the_same(text in "((unix|tcp|vsock|pipe|fd|exec):)?[ -~é]{0,12}(:[0-9]{1,3})?(,abstract=on)?") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
