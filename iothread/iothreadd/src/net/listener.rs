//! Sockets on which the server waits for clients.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use iothread::{
    AioContext, Clock, ContextError, Dispatch, FdWatch, Interest, MainContext, OnMain, Timer,
};
use qapi_runtime::socket::{BindError, SocketFile, listen_abstract, listen_path};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, accept_with, sockopt};
use thiserror::Error;

use super::address::Address;
use super::door::Door;
use super::reach::{Reach, RemoteError, Served, local_address, resolve};
use super::stream::Stream;
use crate::sync::{Level, Mutex};

/// How long no client is accepted after it has failed, for want of descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that cannot be made.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
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
    door: Arc<Door>,
    /// Ends a pause.
    _resume: Arc<Timer>,
}

enum Bound {
    /// Its file goes with it, and before that when it stops.
    Unix {
        path: String,
        file: Mutex<Option<SocketFile>>,
    },
    Tcp(String),
    /// Nothing that is removed with it: an abstract name, or a socket that somebody else made.
    Other {
        description: String,
        is_unix: bool,
    },
}

impl Listener {
    /// Binds and listens at a path, with these mode bits if any are given.
    pub(crate) fn at_path(path: &Path, mode: Option<u32>) -> Result<Self, BindError> {
        let (socket, file) = listen_path(path, mode)?;
        let bound = Bound::Unix {
            path: path.display().to_string(),
            file: Mutex::new(Some(file)),
        };
        Ok(Self::new(socket, bound))
    }

    /// Listens on an abstract name.
    pub(crate) fn at_name(name: &str) -> Result<Self, BindError> {
        let description = format!("unix:{name},abstract=on,tight=on");
        Self::at_name_as(name.as_bytes(), description)
    }

    /// The same, under another description.
    pub(crate) fn at_name_as(name: &[u8], description: String) -> Result<Self, BindError> {
        let socket = listen_abstract(name)?;
        Ok(Self::of(socket, description, true))
    }

    /// Listens at the first address of a host that it can have.
    fn at_host(host: &str, port: u16, reach: Reach) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Host {
            address: format!("{host}:{port}"),
            source,
        };
        let candidates = resolve(host, port).map_err(failed)?;
        // Which of them it gets shows later, so all have to be in order.
        reach.check(Served::Monitor, &candidates)?;
        let bind = || -> io::Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind(candidates.as_slice())?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bind().map_err(failed)?;
        if port == 0 {
            crate::report::report(&format!("listening on tcp:{address}"));
        }
        Ok(Self::new(listener.into(), Bound::Tcp(address.to_string())))
    }

    fn new(socket: OwnedFd, address: Bound) -> Self {
        Self {
            socket: Arc::new(socket),
            address,
            accepting: Mutex::at(Level::Listener, None),
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

    /// Accepts clients from now on, on the main loop.
    pub(crate) fn watch_on_main(
        &self,
        main: &MainContext,
        accept: impl Fn(OnMain<'_>, Stream) + Send + 'static,
    ) -> Result<(), ContextError> {
        self.watch(main, move |stream, dispatch| {
            if let Some(main) = dispatch.on_main() {
                accept(main, stream);
            }
        })
    }

    /// Accepts clients from now on, on the context's thread.
    pub(crate) fn watch(
        &self,
        context: &AioContext,
        accept: impl Fn(Stream, &Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let is_unix = self.is_unix();
        let watched: Arc<OnceLock<Weak<FdWatch>>> = Arc::default();
        let door = Arc::new(Door::new());
        let (paused, opening) = (Arc::clone(&watched), Arc::clone(&door));
        let resume = Arc::new(context.timer(Clock::Monotonic, move |_| {
            if let Some(watch) = paused.get().and_then(Weak::upgrade) {
                opening.set_paused(false, |lets_in| let_in(&watch, lets_in));
            }
        })?);
        let (closing, pause) = (Arc::clone(&door), Arc::clone(&resume));
        let watch = context
            .watch(Arc::clone(&self.socket))
            .on_readable(move |socket, dispatch| match accept_one(socket, is_unix) {
                Ok(stream) => accept(stream, dispatch),
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => {
                    closing.set_paused(true, |_| {
                        // As in `let_in`.
                        let _ = dispatch.set_interest(Interest::NONE);
                    });
                    pause.arm_after(ACCEPT_PAUSE);
                }
            })
            .register()?;
        let watch = Arc::new(watch);
        // The cell is fresh.
        let _ = watched.set(Arc::downgrade(&watch));
        tracing::info!("listening on {self}");
        *self.accepting.lock() = Some(Accepting {
            watch,
            door,
            _resume: resume,
        });
        Ok(())
    }

    /// Lets clients wait, or accepts them again.
    pub(crate) fn set_accepting(&self, accepts: bool) {
        if let Some(Accepting { watch, door, .. }) = &*self.accepting.lock() {
            door.set_wanted(accepts, |lets_in| let_in(watch, lets_in));
        }
    }

    /// Whether a client waits to be accepted.
    pub(crate) fn has_waiting(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
        // Where it cannot be told, it is looked again later.
        matches!(poll(&mut socket, Some(&Timespec::default())), Ok(1..))
    }

    /// Accepts no more clients and gives up the path.
    pub(crate) fn stop(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            drop(accepting.watch);
        }
        match &self.address {
            Bound::Unix { file, .. } => drop(file.lock().take()),
            Bound::Tcp(_) | Bound::Other { .. } => {}
        }
    }

    /// Where it listens, if that is an address of the internet.
    pub(crate) fn inet_address(&self) -> Option<SocketAddr> {
        local_address(&*self.socket)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Bound::Unix { path, .. } => write!(f, "unix:{path}"),
            Bound::Tcp(address) => write!(f, "tcp:{address}"),
            Bound::Other { description, .. } => f.write_str(description),
        }
    }
}

/// Watches for clients, or not.
fn let_in(watch: &FdWatch, lets_in: bool) {
    // Can only fail when everything ends.
    let _ = watch.set_interest(Interest::READ.when(lets_in));
}

fn accept_one(socket: &OwnedFd, is_unix: bool) -> Result<Stream, Errno> {
    let client = accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    if is_unix {
        return Ok(Stream::unix(client));
    }
    sockopt::set_tcp_nodelay(&client, true)?;
    Ok(Stream::tcp(client))
}

/// How clients come in.
pub(crate) enum WayIn {
    Listener(Listener),
    /// One is there from the start.
    Stream(Stream),
}

impl WayIn {
    /// Listens at the address, or takes what is there, where a monitor may be.
    pub(crate) fn open(address: &Address, reach: Reach) -> Result<Self, ListenError> {
        Ok(match address {
            Address::Unix { path, mode } => Self::Listener(Listener::at_path(path, *mode)?),
            Address::Abstract(name) => Self::Listener(Listener::at_name(name)?),
            Address::Tcp { host, port } => Self::Listener(Listener::at_host(host, *port, reach)?),
            Address::Inherited(number) => {
                let inherited = Self::inherit(*number)?;
                reach.check(Served::Monitor, &inherited.inet_addresses())?;
                inherited
            }
            Address::Stdio => {
                let inherited = Self::Stream(Stream::stdio().map_err(ListenError::Stdio)?);
                // A program that starts another one for each connection gives it the connection as these.
                reach.check(Served::Monitor, &inherited.inet_addresses())?;
                inherited
            }
        })
    }

    /// The own addresses of this way in, if they are of the internet.
    fn inet_addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Listener(listener) => listener.inet_address().into_iter().collect(),
            Self::Stream(stream) => stream.inet_addresses(),
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
            Ok(Self::Stream(if is_unix {
                Stream::unix(socket)
            } else {
                Stream::tcp(socket)
            }))
        };
        adopt().map_err(|source| ListenError::Inherited { number, source })
    }
}
