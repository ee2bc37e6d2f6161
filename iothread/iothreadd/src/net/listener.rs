//! Sockets on which the server waits for clients.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{OwnedFd, RawFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use iothread::{AioContext, Clock, ContextError, FdWatch, Interest, Timer};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, sockopt};
use thiserror::Error;

use super::stream::Stream;
use crate::options::Address;
use crate::sync::Mutex;

/// Connections that wait to be accepted: a thousand clients may come at once. The kernel has a limit of its own.
const BACKLOG: i32 = 4096;

/// How long no client is accepted after it has failed, for want of descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The longest path that fits an address of a unix socket.
const MAX_PATH: usize = 107;

/// A socket that cannot be made.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error(
        "UNIX socket path '{}' is too long: at most {MAX_PATH} bytes are possible", path.display()
    )]
    PathTooLong { path: PathBuf },
    #[error("socket '{}' is in use by a running server", path.display())]
    InUse { path: PathBuf },
    #[error("cannot use the standard streams: {0}")]
    Stdio(io::Error),
    #[error("cannot use descriptor {number} as a socket: {source}")]
    Inherited { number: RawFd, source: io::Error },
    #[error("cannot listen on '{address}': {source}")]
    Host { address: String, source: io::Error },
}

/// A socket that accepts clients; its path is removed with it.
pub(crate) struct Listener {
    socket: Arc<OwnedFd>,
    address: Bound,
    accepting: Mutex<Option<Accepting>>,
}

struct Accepting {
    watch: Arc<FdWatch>,
    /// Ends a pause.
    resume: Arc<Timer>,
}

enum Bound {
    /// With the device and inode numbers of the socket that was made.
    Unix {
        path: PathBuf,
        identity: Option<(u64, u64)>,
    },
    Tcp(String),
    /// Nothing that is removed with it: an abstract name, or a socket that somebody else made.
    Other {
        description: String,
        is_unix: bool,
    },
}

impl Listener {
    /// Binds and listens. `Address::Stdio` and `Address::Inherited` are none to bind.
    pub(crate) fn bind(address: &Address) -> Result<Self, ListenError> {
        let (socket, address) = match address {
            Address::Unix { path, mode } => bind_path(path, *mode)?,
            Address::Abstract(name) => bind_abstract(name)?,
            Address::Tcp { host, port } => bind_host(host, *port)?,
            Address::Inherited(_) | Address::Stdio => {
                return Err(ListenError::Host {
                    address: format!("{address:?}"),
                    source: io::ErrorKind::InvalidInput.into(),
                });
            }
        };
        Ok(Self::new(socket, address))
    }

    fn new(socket: OwnedFd, address: Bound) -> Self {
        Self {
            socket: Arc::new(socket),
            address,
            accepting: Mutex::default(),
        }
    }

    /// Takes a socket that listens already.
    pub(crate) fn of(socket: OwnedFd, description: String, is_unix: bool) -> Self {
        Self::new(
            socket,
            Bound::Other {
                description,
                is_unix,
            },
        )
    }

    /// Whether clients can pass descriptors along.
    pub(crate) fn is_unix(&self) -> bool {
        match self.address {
            Bound::Unix { .. } => true,
            Bound::Tcp(_) => false,
            Bound::Other { is_unix, .. } => is_unix,
        }
    }

    /// Accepts clients from now on, on the context's thread.
    pub(crate) fn watch(
        &self,
        context: &AioContext,
        accept: impl Fn(Stream) + Send + 'static,
    ) -> Result<(), ContextError> {
        let is_unix = self.is_unix();
        let watched: Arc<OnceLock<Weak<FdWatch>>> = Arc::default();
        let paused = Arc::clone(&watched);
        let resume = Arc::new(context.timer(Clock::Monotonic, move |_| {
            if let Some(watch) = paused.get().and_then(Weak::upgrade) {
                // Can only fail when everything ends.
                let _ = watch.set_interest(Interest::READ);
            }
        })?);
        let pause = Arc::clone(&resume);
        let watch = context
            .watch(Arc::clone(&self.socket))
            .on_readable(move |socket, dispatch| match accept_one(socket, is_unix) {
                Ok(stream) => accept(stream),
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => {
                    // As above.
                    let _ = dispatch.set_interest(Interest::NONE);
                    pause.arm_after(ACCEPT_PAUSE);
                }
            })
            .register()?;
        let watch = Arc::new(watch);
        // The cell is fresh.
        let _ = watched.set(Arc::downgrade(&watch));
        *self.accepting.lock() = Some(Accepting { watch, resume });
        Ok(())
    }

    /// Lets clients wait, or accepts them again.
    pub(crate) fn set_accepting(&self, accepts: bool) {
        let interest = if accepts {
            Interest::READ
        } else {
            Interest::NONE
        };
        if let Some(accepting) = &*self.accepting.lock() {
            // The end of a pause must not let in who is to wait.
            accepting.resume.disarm();
            // Can only fail when everything ends.
            let _ = accepting.watch.set_interest(interest);
        }
    }

    /// Accepts no more clients and gives up the path.
    pub(crate) fn stop(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            drop(accepting.watch);
        }
        self.remove_path();
    }

    fn remove_path(&self) {
        if let Bound::Unix { path, identity } = &self.address
            && identity.is_some()
            && identity_of(path) == *identity
        {
            // It is ours, and if it is gone already that is as well.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_path();
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Bound::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Bound::Tcp(address) => write!(f, "tcp:{address}"),
            Bound::Other { description, .. } => f.write_str(description),
        }
    }
}

fn accept_one(socket: &OwnedFd, is_unix: bool) -> Result<Stream, Errno> {
    let client = accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    if is_unix {
        return Ok(Stream::Unix(Arc::new(client)));
    }
    sockopt::set_tcp_nodelay(&client, true)?;
    Ok(Stream::Tcp(Arc::new(client)))
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.st_dev(), metadata.st_ino()))
}

fn bind_path(path: &Path, mode: Option<u32>) -> Result<(OwnedFd, Bound), ListenError> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(ListenError::PathTooLong {
            path: path.to_owned(),
        });
    }
    remove_stale(path)?;
    let listen = || -> io::Result<OwnedFd> {
        // Nobody can connect before `listen`.
        listen_unix(&SocketAddrUnix::new(path)?, || match mode {
            Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
            None => Ok(()),
        })
    };
    let socket = listen().map_err(|source| ListenError::Host {
        address: path.display().to_string(),
        source,
    })?;
    let bound = Bound::Unix {
        path: path.to_owned(),
        identity: identity_of(path),
    };
    Ok((socket, bound))
}

/// Binds, calls `before_listen`, and listens.
fn listen_unix(
    address: &SocketAddrUnix,
    before_listen: impl FnOnce() -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, address)?;
    before_listen()?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn bind_abstract(name: &str) -> Result<(OwnedFd, Bound), ListenError> {
    let listen = || -> io::Result<OwnedFd> {
        listen_unix(&SocketAddrUnix::new_abstract_name(name.as_bytes())?, || {
            Ok(())
        })
    };
    let socket = listen().map_err(|source| ListenError::Host {
        address: format!("@{name}"),
        source,
    })?;
    let bound = Bound::Other {
        description: format!("unix-abstract:{name}"),
        is_unix: true,
    };
    Ok((socket, bound))
}

/// How clients come in.
pub(crate) enum WayIn {
    Listener(Listener),
    /// One is there from the start.
    Stream(Stream),
}

impl WayIn {
    /// Listens at the address, or takes what is there.
    pub(crate) fn open(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Unix { .. } | Address::Abstract(_) | Address::Tcp { .. } => {
                Listener::bind(address).map(Self::Listener)
            }
            Address::Inherited(number) => Self::inherit(*number),
            Address::Stdio => Ok(Self::Stream(Stream::stdio().map_err(ListenError::Stdio)?)),
        }
    }

    fn inherit(number: RawFd) -> Result<Self, ListenError> {
        let adopt = || -> io::Result<Self> {
            let socket = qapi_runtime::descriptor::inherited(number)?;
            rustix::io::ioctl_fionbio(&socket, true)?;
            let is_unix = match sockopt::socket_domain(&socket)? {
                AddressFamily::UNIX => true,
                AddressFamily::INET | AddressFamily::INET6 => false,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            if sockopt::socket_acceptconn(&socket)? {
                let description = format!("fd:{number}");
                return Ok(Self::Listener(Listener::of(socket, description, is_unix)));
            }
            let socket = Arc::new(socket);
            Ok(Self::Stream(if is_unix {
                Stream::Unix(socket)
            } else {
                Stream::Tcp(socket)
            }))
        };
        adopt().map_err(|source| ListenError::Inherited { number, source })
    }
}

/// Removes a socket that nobody listens on any more. Anything else that is there makes `bind` fail.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ListenError::Host {
                address: path.display().to_string(),
                source,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(ListenError::InUse {
            path: path.to_owned(),
        }),
    }
}

fn bind_host(host: &str, port: u16) -> Result<(OwnedFd, Bound), ListenError> {
    let bind = || -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let (listener, address) = bind().map_err(|source| ListenError::Host {
        address: format!("{host}:{port}"),
        source,
    })?;
    if port == 0 {
        crate::report(&format!("listening on tcp:{address}"));
    }
    Ok((listener.into(), Bound::Tcp(address.to_string())))
}
