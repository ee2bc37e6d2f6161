//! Listening at the addresses that QMP's commands name.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;

use iothread::MainContext;
use qapi_runtime::Error;
use qapi_runtime::socket::BindError;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, getpeername,
    getsockname, listen, socket_with, sockopt,
};

use super::descriptors::SessionDescriptors;
use super::listener::Listener;
use super::services::port_of;
use crate::errno::{message_of, reason};
use crate::qapi::{InetSocketAddress, SocketAddress, SocketAddressLegacy, UnixSocketAddress};
use crate::task;

/// The bytes of the longest abstract name.
const LONGEST_NAME: usize = 107;

/// Connections that wait to be accepted, as for monitors: many clients may come at once. The kernel has a limit of its own.
const BACKLOG: i32 = 4096;

/// The form of an address that newer commands use.
pub(crate) fn modern(address: SocketAddressLegacy) -> SocketAddress {
    match address {
        SocketAddressLegacy::Inet(inet) => SocketAddress::Inet(inet.data),
        SocketAddressLegacy::Unix(unix) => SocketAddress::Unix(unix.data),
        SocketAddressLegacy::Fd(fd) => SocketAddress::Fd(fd.data),
        SocketAddressLegacy::Unknown(name) => SocketAddress::Unknown(name),
    }
}

/// Finds the addresses of the host that an address names, if it names one. A worker of the main loop asks for names, since
/// name servers answer when they like.
pub(crate) async fn look_up(
    address: &SocketAddress,
    main: &MainContext,
) -> Result<Option<Vec<SocketAddr>>, Error> {
    let SocketAddress::Inet(inet) = address else {
        return Ok(None);
    };
    if inet.host.is_empty() || inet.host.parse::<IpAddr>().is_ok() {
        return resolve(inet).map(Some);
    }
    let asked = inet.clone();
    let found = task::on_worker(main, move || resolve(&asked)).await?;
    found.map(Some)
}

/// Listens at an address; a host may have several. They are those that have been `found`; without them the host is looked up
/// here, for callers that cannot wait otherwise.
pub(crate) fn listen_at(
    address: &SocketAddress,
    found: Option<Vec<SocketAddr>>,
    descriptors: &SessionDescriptors,
) -> Result<Vec<Listener>, Error> {
    match address {
        SocketAddress::Unix(unix) => Ok(vec![listen_unix(unix)?]),
        SocketAddress::Inet(inet) => listen_inet(inet, found.map_or_else(|| resolve(inet), Ok)?),
        SocketAddress::Fd(fd) => {
            let socket = take_socket(descriptors, &fd.str)?;
            // One that listens already goes on.
            listen(&socket, BACKLOG).map_err(|error| {
                let reason = reason(&error.into());
                Error::generic(format!("Failed to listen on fd socket: {reason}"))
            })?;
            rustix::io::ioctl_fionbio(&socket, true)
                .map_err(|error| failed("use", error.into()))?;
            let address = getsockname(&socket).ok();
            let is_unix = address
                .as_ref()
                .is_some_and(|it| it.address_family() == AddressFamily::UNIX);
            let description = describe_listening(address);
            Ok(vec![Listener::of(socket, description, is_unix)])
        }
        SocketAddress::Unknown(name) => Err(Error::generic(format!(
            "Parameter 'addr.type' does not accept value '{name}'"
        ))),
    }
}

/// Takes a descriptor that is a socket.
///
/// # Errors
///
/// In QEMU's words: nothing has this name, or it is not a socket.
pub(crate) fn take_socket(descriptors: &SessionDescriptors, name: &str) -> Result<OwnedFd, Error> {
    let socket = descriptors.take_named(name)?;
    match sockopt::socket_type(&socket) {
        Ok(_) => Ok(socket),
        Err(_) => Err(Error::generic(format!(
            "File descriptor '{name}' is not a socket"
        ))),
    }
}

/// A connection as devices are named by it: that of a unix socket by the address that the server has, others by their own.
pub(crate) fn describe_connection(socket: &OwnedFd, is_server: bool) -> String {
    let own = getsockname(socket).ok();
    match own {
        Some(own) if own.address_family() != AddressFamily::UNIX => {
            match SocketAddr::try_from(own) {
                Ok(address) => format!("tcp:{address}"),
                Err(_) => "tcp:".to_owned(),
            }
        }
        own => {
            let address = match is_server {
                true => own,
                false => getpeername(socket).ok().flatten(),
            };
            let address = address.and_then(|it| SocketAddrUnix::try_from(it).ok());
            // As in QEMU, where an abstract name is not told of a connection.
            let path = address.as_ref().and_then(SocketAddrUnix::path_bytes);
            format!("unix:{}", String::from_utf8_lossy(path.unwrap_or_default()))
        }
    }
}

/// A socket that somebody else has made, as devices are named by it that listen there.
fn describe_listening(address: Option<SocketAddrAny>) -> String {
    let Some(address) = address else {
        return "unix:".to_owned();
    };
    if address.address_family() == AddressFamily::UNIX {
        let address = SocketAddrUnix::try_from(address).ok();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let of_name = address.as_ref().and_then(SocketAddrUnix::abstract_name);
        let of_name = of_name.filter(|name| !name.is_empty());
        let of_path = address.as_ref().and_then(SocketAddrUnix::path_bytes);
        return match (of_name, of_path) {
            (Some(name), _) => format!("unix:{},abstract=on,tight=on", text(name)),
            (None, Some(path)) => format!("unix:{}", text(path)),
            (None, None) => "unix:".to_owned(),
        };
    }
    match SocketAddr::try_from(address) {
        Ok(address) => describe_tcp(address),
        Err(_) => "tcp:".to_owned(),
    }
}

/// As in QEMU, where only the address of a connection has brackets.
fn describe_tcp(address: SocketAddr) -> String {
    format!("tcp:{}:{}", address.ip(), address.port())
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::generic(format!("Failed to {what} socket: {}", reason(&error)))
}

fn listen_unix(address: &UnixSocketAddress) -> Result<Listener, Error> {
    let path = &address.path;
    let (listener, shown) = match address.r#abstract {
        Some(true) => {
            let name = abstract_name(address);
            let listener = Listener::at_name_as(&name, describe_unix(address));
            (listener, format!("@{path}"))
        }
        Some(false) | None => (Listener::at_path(Path::new(path), None), path.clone()),
    };
    listener.map_err(|error| {
        let reason = match &error {
            BindError::PathTooLong { .. } => {
                return too_long(path);
            }
            // Differs from QEMU: there the path is taken from the server that has it.
            BindError::InUse { .. } | BindError::NotASocket { .. } => {
                message_of(Errno::ADDRINUSE.raw_os_error())
            }
            BindError::System { source, .. } => reason(source),
            other => other.to_string(),
        };
        Error::generic(format!("Failed to bind socket to {shown}: {reason}"))
    })
}

/// The error for a path that has no room in an address.
pub(crate) fn too_long(path: &str) -> Error {
    Error::generic(format!("UNIX socket path '{path}' is too long"))
}

/// The bytes of an abstract name: zero bytes fill one up that is not tight.
pub(crate) fn abstract_name(address: &UnixSocketAddress) -> Vec<u8> {
    let mut name = address.path.clone().into_bytes();
    if address.tight == Some(false) && name.len() < LONGEST_NAME {
        name.resize(LONGEST_NAME, 0);
    }
    name
}

/// How devices are named by a unix socket.
pub(crate) fn describe_unix(address: &UnixSocketAddress) -> String {
    let is_abstract = address.r#abstract == Some(true);
    let of_name = match (is_abstract, address.tight == Some(true)) {
        (true, true) => ",abstract=on,tight=on",
        (true, false) => ",abstract=on",
        (false, _) => "",
    };
    format!("unix:{}{of_name}", address.path)
}

/// Looks up the addresses of a host; `""` stands for all of this machine.
pub(crate) fn resolve(address: &InetSocketAddress) -> Result<Vec<SocketAddr>, Error> {
    let InetSocketAddress {
        host,
        port,
        numeric,
        ipv4,
        ipv6,
        to: _,
        keep_alive: _,
    } = address;
    let unresolved = |reason: &str| {
        Error::generic(format!(
            "address resolution failed for {host}:{port}: {reason}"
        ))
    };
    if (*ipv4, *ipv6) == (Some(false), Some(false)) {
        return Err(Error::generic("Cannot disable IPv4 and IPv6 at same time"));
    }
    if *numeric == Some(true) && !host.is_empty() && host.parse::<IpAddr>().is_err() {
        return Err(unresolved("Name or service not known"));
    }
    let number: u16 = match (port.as_str(), port.parse()) {
        ("", _) => 0,
        (_, Ok(number)) => number,
        (_, Err(_)) if *numeric == Some(true) => {
            return Err(unresolved("Name or service not known"));
        }
        (name, Err(_)) => {
            port_of(name).ok_or_else(|| unresolved("Servname not supported for ai_socktype"))?
        }
    };
    let hosts: &[&str] = match host.as_str() {
        "" => &["::", "0.0.0.0"],
        host => &[host],
    };
    // Given one family alone, the other is left out.
    let wants_v4 = ipv4.unwrap_or(*ipv6 != Some(true));
    let wants_v6 = ipv6.unwrap_or(*ipv4 != Some(true));
    let mut candidates: Vec<SocketAddr> = Vec::new();
    for host in hosts {
        let found = (*host, number)
            .to_socket_addrs()
            .map_err(|_| unresolved("Name or service not known"))?;
        candidates.extend(found.filter(|it| match it {
            SocketAddr::V4(_) => wants_v4,
            SocketAddr::V6(_) => wants_v6,
        }));
    }
    match candidates.is_empty() {
        true => Err(unresolved("Address family for hostname not supported")),
        false => Ok(candidates),
    }
}

fn listen_inet(
    inet: &InetSocketAddress,
    candidates: Vec<SocketAddr>,
) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    let mut failure = None;
    for candidate in candidates {
        let last = inet.to.unwrap_or(candidate.port());
        if last < candidate.port() && candidate.port() != 0 {
            let reason = message_of(Errno::INVAL.raw_os_error());
            return Err(Error::generic(format!(
                "Failed to create a socket: {reason}"
            )));
        }
        match listen_in(candidate, last, inet.keep_alive.unwrap_or(false)) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failure = Some(error),
        }
    }
    match (listeners.is_empty(), failure) {
        (true, Some(error)) if inet.to.is_some() => {
            let reason = reason(&error);
            Err(Error::generic(format!(
                "Failed to find an available port: {reason}"
            )))
        }
        (true, Some(error)) => Err(failed("bind", error)),
        (_, _) => Ok(listeners),
    }
}

/// Listens on the first port that is free, up to the last one.
fn listen_in(first: SocketAddr, last: u16, keeps_alive: bool) -> io::Result<Listener> {
    let mut address = first;
    loop {
        match listen_tcp(address, keeps_alive) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() < last => {
                address.set_port(address.port() + 1);
            }
            result => return result,
        }
    }
}

fn listen_tcp(address: SocketAddr, keeps_alive: bool) -> io::Result<Listener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == AddressFamily::INET6 {
        // Its IPv4 twin has a socket of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    // Connections that are accepted have it from here.
    sockopt::set_socket_keepalive(&socket, keeps_alive)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    let bound = getsockname(&socket)
        .ok()
        .and_then(|bound| SocketAddr::try_from(bound).ok());
    let bound = bound.unwrap_or(address);
    if address.port() == 0 {
        crate::report::report(&format!("listening on tcp:{bound}"));
    }
    Ok(Listener::of(socket, describe_tcp(bound), false))
}
