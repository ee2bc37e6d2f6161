//! What the kernel tells of a server that does not accept or greet.

use std::path::Path;

use super::peer::Peer;
use crate::address::Address;
use crate::descriptor::PeerCredentials;
use crate::system::proc_file;

/// Why a server does not greet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Its process is stopped.
    Stopped,
    /// It has accepted somebody else, and does not accept us.
    ServesAnother,
    /// It cannot be told.
    Unknown,
}

impl Silence {
    /// Asks the kernel about a server of this machine, while a connection to it is open or waits to be accepted.
    pub(super) fn of(peer: &Peer, credentials: Option<PeerCredentials>) -> Self {
        match peer {
            Peer::At(Address::Unix(path)) => silence(path, credentials.and_then(|it| it.process)),
            Peer::At(
                Address::Abstract(_)
                | Address::Tcp(_)
                | Address::Vsock { .. }
                | Address::Pipe(_)
                | Address::Fd(_)
                | Address::Exec(_),
            )
            | Peer::Stream(_) => Self::Unknown,
        }
    }

    /// The same about a server that has no room for one more client.
    pub(super) fn of_full(peer: &Peer) -> Self {
        match peer {
            // Each instance of a named pipe has its client.
            Peer::At(Address::Pipe(_)) => Self::ServesAnother,
            peer => Self::of(peer, None),
        }
    }
}

fn silence(path: &Path, process: Option<u32>) -> Silence {
    if process.is_some_and(is_stopped) {
        return Silence::Stopped;
    }
    // The list has all sockets of this machine, of which there may be many: it is read in trouble only.
    let list = proc_file("net/unix");
    let name = path.as_os_str().as_encoded_bytes();
    let lines = list.split(|it| *it == b'\n');
    let connections: Vec<_> = lines.filter_map(|it| Connection::of(it, name)).collect();
    let serves = |it: &Connection<'_>| it.state == ACCEPTED && it.has_client;
    let waits = |it: &Connection<'_>| it.state == WAITING;
    match connections.iter().any(serves) && connections.iter().any(waits) {
        true => Silence::ServesAnother,
        false => Silence::Unknown,
    }
}

/// Whether somebody has stopped it. In its line the state is behind the name, which may have blanks and brackets.
fn is_stopped(process: u32) -> bool {
    let stat = proc_file(&format!("{process}/stat"));
    let stat = String::from_utf8_lossy(&stat);
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    matches!(behind.split_whitespace().next(), Some("T" | "t"))
}

/// The state of a connection whose server has it, and of one that the server has not accepted yet.
const ACCEPTED: &[u8] = b"03";
const WAITING: &[u8] = b"02";

/// How many users the server's end of a connection has whose client has left: the client's end was one of three.
const WITHOUT_CLIENT: &[u8] = b"00000002";

/// The server's end of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Connection<'l> {
    state: &'l [u8],
    /// A server that hangs keeps the ends of clients that have left.
    has_client: bool,
}

impl<'l> Connection<'l> {
    /// The connection of a line, if it is of that name.
    fn of(line: &'l [u8], name: &[u8]) -> Option<Self> {
        // Number, users, protocol, flags, type, state, inode, and the name, which may have blanks.
        let before = line.strip_suffix(name)?.strip_suffix(b" ")?;
        let fields = before.split(|byte| *byte == b' ');
        let fields: Vec<_> = fields.filter(|it| !it.is_empty()).collect();
        match fields[..] {
            [_, users, _, _, _, state, _] => Some(Self {
                state,
                has_client: users != WITHOUT_CLIENT,
            }),
            _ => None,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_kernel_tells_who_has_been_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a socket");
        assert_eq!(silence(&path, None), Silence::Unknown);
        let listener = UnixListener::bind(&path).unwrap();
        let first = UnixStream::connect(&path).unwrap();
        assert_eq!(silence(&path, None), Silence::Unknown);
        let accepted = listener.accept().unwrap();
        // A client that is accepted and hears nothing has not been kept waiting by others.
        assert_eq!(silence(&path, None), Silence::Unknown);
        let second = UnixStream::connect(&path).unwrap();
        assert_eq!(silence(&path, None), Silence::ServesAnother);
        // A server that has not seen yet that its client has left does not serve it.
        drop(first);
        assert_eq!(silence(&path, None), Silence::Unknown);
        drop((accepted, second));
    }

    #[test]
    fn lines_are_read_by_their_fields() {
        let line = |users: u32, state: &str, name: &str| {
            format!("0000000000000000: {users:08X} 00000000 00000000 0001 {state} 12345 {name}")
        };
        let read = |line: &str| {
            let connection = Connection::of(line.as_bytes(), b"/run/a b")?;
            Some((connection.state.to_vec(), connection.has_client))
        };
        let accepted = |has_client| Some((ACCEPTED.to_vec(), has_client));
        assert_eq!(read(&line(3, "03", "/run/a b")), accepted(true));
        assert_eq!(read(&line(2, "03", "/run/a b")), accepted(false));
        let waits = Some((WAITING.to_vec(), true));
        assert_eq!(read(&line(3, "02", "/run/a b")), waits);
        assert_eq!(read(&line(3, "03", "/run/a b c")), None);
        assert_eq!(read(&line(3, "03", "x /run/a b")), None);
        assert_eq!(read(""), None);
    }
}
