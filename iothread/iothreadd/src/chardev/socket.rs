//! Character devices on stream sockets: one peer at a time.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{Clock, FdWatch, Interest, MainContext, Timer};
use qapi_runtime::Error;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, getpeername, recv, shutdown, sockopt};

use super::FrontEnd;
use super::connect::{Connected, Plan, Ready, adopt};
use crate::errno::reason;
use crate::net::descriptors::SessionDescriptors;
use crate::net::listener::Listener;
use crate::net::log::Log;
use crate::net::sockets::{describe_connection, listen_at, modern, take_socket};
use crate::net::stream::Stream;
use crate::oneshot;
use crate::qapi::{ChardevSocket, SocketAddress, SocketAddressLegacy, YankInstance};
use crate::sync::Mutex;
use crate::yank::{YankGuard, Yanks};

/// A stream socket and its peer. Its own work is done on the main loop.
pub(super) struct SocketDevice {
    main: MainContext,
    way: Way,
    nodelay: bool,
    log: Option<Arc<Log>>,
    state: Mutex<State>,
    yank: Mutex<Option<YankGuard>>,
}

/// How peers come.
enum Way {
    Listen(Vec<Listener>),
    Connect {
        /// The address of the peer.
        target: String,
        /// The own address, if somebody else has made the connection.
        given: Option<String>,
        /// What to connect to again, and after how long.
        again: Option<(Plan, Duration)>,
    },
}

#[derive(Default)]
struct State {
    peer: Peer,
    /// Tells peers apart.
    generation: u64,
    peer_address: String,
    front_end: Option<Arc<dyn FrontEnd>>,
    is_closed: bool,
    /// Who waits for the first peer.
    waiting: Vec<oneshot::Sender<()>>,
    /// Connects again.
    retry: Option<Timer>,
}

#[derive(Default)]
enum Peer {
    #[default]
    None,
    /// Nobody uses the connection; the watch tells whether the peer hangs up.
    Idle { stream: Stream, watch: FdWatch },
    /// The front end has it.
    Lent(Stream),
}

/// A connection that a front end has from a device, and gives back by dropping it.
pub(crate) struct Connection {
    stream: Stream,
    /// Absent for devices that have the same stream for good.
    lender: Option<(Weak<SocketDevice>, u64)>,
}

impl Connection {
    pub(super) fn without_lender(stream: Stream) -> Self {
        Self {
            stream,
            lender: None,
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Ends the connection: the peer has hung up, or is to be cut off. From any thread.
    pub(crate) fn close(mut self) {
        if let Some((device, generation)) = self.lender.take()
            && let Some(device) = device.upgrade()
        {
            self.stream.close();
            device.post(move |device| device.hung_up(generation));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some((device, generation)) = self.lender.take()
            && let Some(device) = device.upgrade()
        {
            device.post(move |device| device.returned(generation));
        }
    }
}

impl SocketDevice {
    /// Opens a device. On the main loop.
    pub(super) fn open(
        main: &MainContext,
        options: &ChardevSocket,
        descriptors: &SessionDescriptors,
        ready: Ready,
    ) -> Result<Arc<Self>, Error> {
        let is_server = options.server.unwrap_or(true);
        let retry = retry_after(options)?;
        let conflicts = |with: &str| {
            Error::generic(format!("'reconnect-ms' option is incompatible with {with}"))
        };
        if is_server && retry.is_some() {
            return Err(conflicts("socket in server listen mode"));
        }
        if matches!(options.addr, SocketAddressLegacy::Fd(_)) && retry.is_some() {
            return Err(conflicts("'fd' address type"));
        }
        if !is_server && options.wait.is_some() {
            return Err(Error::generic(
                "'wait' option is incompatible with socket in client connect mode",
            ));
        }
        let nodelay = options.nodelay.unwrap_or(false);
        if is_server {
            let listeners = listen_at(&modern(options.addr.clone()), ready.found, descriptors)?;
            let device = Self::new(main, Way::Listen(listeners), nodelay, ready.log);
            device.listen()?;
            return Ok(device);
        }
        let plan = Plan::new(options)?;
        let mut given = None;
        let connected = match (&plan, ready.connected, modern(options.addr.clone())) {
            (None, None, SocketAddress::Fd(fd)) => {
                let socket = take_socket(descriptors, &fd.str)?;
                given = Some(describe_connection(&socket));
                let stream = adopt(socket).map_err(|error| Error::generic(reason(&error)))?;
                let peer = peer_of(&stream);
                Some(Connected { stream, peer })
            }
            (_, connected, _) => connected,
        };
        let target = match (&plan, &options.addr) {
            (Some(plan), _) => plan.target.describe(),
            (None, SocketAddressLegacy::Fd(fd)) => format!("fd:{}", fd.data.str),
            (None, _) => "fd".to_owned(),
        };
        let way = Way::Connect {
            target,
            given,
            again: plan.zip(retry),
        };
        let device = Self::new(main, way, nodelay, ready.log);
        match connected {
            Some(connected) => device.connected(connected),
            None => device.try_to_connect(),
        }
        Ok(device)
    }

    fn new(main: &MainContext, way: Way, nodelay: bool, log: Option<Arc<Log>>) -> Arc<Self> {
        Arc::new(Self {
            main: main.clone(),
            way,
            nodelay,
            log,
            state: Mutex::default(),
            yank: Mutex::default(),
        })
    }

    fn listen(self: &Arc<Self>) -> Result<(), Error> {
        let Way::Listen(listeners) = &self.way else {
            return Ok(());
        };
        for listener in listeners {
            let device = Arc::downgrade(self);
            let watched = listener.watch(&self.main, move |stream| {
                let Some(device) = device.upgrade() else {
                    return;
                };
                if device.nodelay
                    && stream.is_tcp()
                    && let Some(socket) = stream.socket()
                {
                    // A peer that is gone already shows when it is read from.
                    let _ = sockopt::set_tcp_nodelay(socket, true);
                }
                let peer = peer_of(&stream);
                device.connected(Connected { stream, peer });
            });
            watched.map_err(|error| Error::generic(error.to_string()))?;
        }
        Ok(())
    }

    /// Lets the connection be shut down by name.
    pub(super) fn register(
        self: &Arc<Self>,
        yanks: &Yanks,
        instance: YankInstance,
    ) -> Result<(), Error> {
        let device = Arc::downgrade(self);
        let guard = yanks.register(instance, move || {
            if let Some(device) = device.upgrade() {
                device.shut_down();
            }
        })?;
        *self.yank.lock() = Some(guard);
        Ok(())
    }

    pub(super) fn unregister(&self) {
        let guard = self.yank.lock().take();
        drop(guard);
    }

    /// Shuts the connection down; whoever has it sees its end. From any thread.
    fn shut_down(&self) {
        let waiting = {
            let mut state = self.state.lock();
            if let Peer::Idle { stream, .. } | Peer::Lent(stream) = &state.peer
                && let Some(socket) = stream.socket()
            {
                // The peer may be gone already.
                let _ = shutdown(&**socket, Shutdown::Both);
            }
            std::mem::take(&mut state.waiting)
        };
        // Who waits learns that nobody comes.
        drop(waiting);
    }

    fn post(self: &Arc<Self>, run: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let device = Arc::clone(self);
        // Without a main loop everything is over.
        let _ = self.main.post(move |_| run(&device));
    }

    /// A peer has come.
    fn connected(self: &Arc<Self>, connected: Connected) {
        let Connected { stream, peer } = connected;
        let stream = stream.with_log(self.log.clone());
        let mut state = self.state.lock();
        if state.is_closed || !matches!(state.peer, Peer::None) {
            drop(state);
            stream.close();
            return;
        }
        self.set_accepting(false);
        state.generation += 1;
        state.peer_address = peer;
        let waiting = std::mem::take(&mut state.waiting);
        self.place(state, stream);
        for sender in waiting {
            sender.send(());
        }
    }

    /// Gives a connection to the front end, or else keeps an eye on it.
    fn place(self: &Arc<Self>, mut state: std::sync::MutexGuard<'_, State>, stream: Stream) {
        let generation = state.generation;
        let Some(front_end) = state.front_end.clone() else {
            match self.watch_idle(&stream, generation) {
                Some(watch) => state.peer = Peer::Idle { stream, watch },
                None => {
                    state.peer = Peer::None;
                    drop(state);
                    stream.close();
                    self.resume();
                }
            }
            return;
        };
        state.peer = Peer::Lent(stream.clone());
        drop(state);
        front_end.connected(Connection {
            stream,
            lender: Some((Arc::downgrade(self), generation)),
        });
    }

    /// Waits for the peer to hang up. Once it sends something it is left alone, since that has to wait for a front end.
    fn watch_idle(self: &Arc<Self>, stream: &Stream, generation: u64) -> Option<FdWatch> {
        let socket = Arc::clone(stream.socket()?);
        let device = Arc::downgrade(self);
        let watch = self
            .main
            .watch(socket)
            .on_readable(move |socket: &Arc<OwnedFd>, dispatch| {
                if !is_over(socket) {
                    // Can only fail when everything ends.
                    let _ = dispatch.set_interest(Interest::NONE);
                } else if let Some(device) = device.upgrade() {
                    device.hung_up(generation);
                }
            });
        watch.register().ok()
    }

    /// The peer is gone.
    fn hung_up(self: &Arc<Self>, generation: u64) {
        let peer = {
            let mut state = self.state.lock();
            if state.generation != generation {
                return;
            }
            std::mem::take(&mut state.peer)
        };
        match peer {
            Peer::None => return,
            Peer::Idle { stream, watch } => {
                drop(watch);
                stream.close();
            }
            Peer::Lent(stream) => stream.close(),
        }
        self.resume();
    }

    /// The front end has given a connection back that is not over.
    fn returned(self: &Arc<Self>, generation: u64) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        match std::mem::take(&mut state.peer) {
            Peer::Lent(stream) if !state.is_closed => self.place(state, stream),
            Peer::Lent(stream) => {
                drop(state);
                stream.close();
            }
            other @ (Peer::None | Peer::Idle { .. }) => state.peer = other,
        }
    }

    /// Looks for the next peer.
    fn resume(self: &Arc<Self>) {
        if self.state.lock().is_closed {
            return;
        }
        match &self.way {
            Way::Listen(_) => self.set_accepting(true),
            Way::Connect { again, .. } => {
                if let Some((_, delay)) = again {
                    self.retry_after(*delay);
                }
            }
        }
    }

    fn set_accepting(&self, accepts: bool) {
        if let Way::Listen(listeners) = &self.way {
            listeners.iter().for_each(|it| it.set_accepting(accepts));
        }
    }

    fn retry_after(self: &Arc<Self>, delay: Duration) {
        let device = Arc::downgrade(self);
        let timer = self.main.timer(Clock::Monotonic, move |_| {
            if let Some(device) = device.upgrade() {
                device.try_to_connect();
            }
        });
        // Can only fail when everything ends.
        if let Ok(timer) = timer {
            timer.arm_after(delay);
            let before = self.state.lock().retry.replace(timer);
            drop(before);
        }
    }

    fn try_to_connect(self: &Arc<Self>) {
        let Way::Connect {
            again: Some((plan, delay)),
            ..
        } = &self.way
        else {
            return;
        };
        let (plan, delay) = (plan.clone(), *delay);
        let device = Arc::clone(self);
        // As above.
        let _ = self.main.spawn_blocking(
            move || plan.connect(),
            move |_, result| match result {
                Ok(Ok(connected)) => device.connected(connected),
                Ok(Err(_)) | Err(_) => {
                    if !device.state.lock().is_closed {
                        device.retry_after(delay);
                    }
                }
            },
        );
    }

    /// The own addresses of sockets that others have connected to: those on which it listens, and one that it was given.
    /// What it connects to by itself is its user's choice.
    pub(super) fn inet_addresses(&self) -> Vec<SocketAddr> {
        match &self.way {
            Way::Listen(listeners) => {
                let addresses = listeners.iter().map(Listener::inet_address);
                addresses.flatten().collect()
            }
            Way::Connect { given: Some(_), .. } => match &self.state.lock().peer {
                Peer::None => Vec::new(),
                Peer::Idle { stream, .. } | Peer::Lent(stream) => stream.inet_addresses(),
            },
            Way::Connect { given: None, .. } => Vec::new(),
        }
    }

    /// Whether a peer is there.
    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.state.lock().peer, Peer::None)
    }

    /// Ends with the first peer, or with `None` if the wait is broken off.
    pub(super) fn first_peer(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if matches!(state.peer, Peer::None) {
            state.waiting.push(sender);
        } else {
            drop(state);
            sender.send(());
        }
        receiver
    }

    /// On the main loop.
    pub(super) fn attach(self: &Arc<Self>, front_end: Arc<dyn FrontEnd>) {
        let mut state = self.state.lock();
        state.front_end = Some(front_end);
        match std::mem::take(&mut state.peer) {
            Peer::Idle { stream, watch } => {
                drop(watch);
                self.place(state, stream);
            }
            other @ (Peer::None | Peer::Lent(_)) => state.peer = other,
        }
    }

    pub(super) fn detach(&self) {
        let front_end = self.state.lock().front_end.take();
        drop(front_end);
    }

    /// Ends everything. On the main loop.
    pub(super) fn close(&self) {
        let (peer, waiting, retry) = {
            let mut state = self.state.lock();
            state.is_closed = true;
            (
                std::mem::take(&mut state.peer),
                std::mem::take(&mut state.waiting),
                state.retry.take(),
            )
        };
        drop(retry);
        self.unregister();
        if let Way::Listen(listeners) = &self.way {
            listeners.iter().for_each(Listener::stop);
        }
        match peer {
            Peer::None => {}
            Peer::Idle { stream, watch } => {
                drop(watch);
                stream.close();
            }
            Peer::Lent(stream) => stream.close(),
        }
        drop(waiting);
    }
}

/// The device as `query-chardev` names it.
impl fmt::Display for SocketDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let has_peer = !matches!(state.peer, Peer::None);
        if !has_peer {
            f.write_str("disconnected:")?;
        }
        match &self.way {
            Way::Listen(listeners) => {
                if let Some(listener) = listeners.first() {
                    write!(f, "{listener}")?;
                }
                f.write_str(",server=on")?;
            }
            Way::Connect {
                given: Some(own), ..
            } if has_peer => f.write_str(own)?,
            Way::Connect { target, .. } => f.write_str(target)?,
        }
        if has_peer && !state.peer_address.is_empty() {
            write!(f, " <-> {}", state.peer_address)?;
        }
        Ok(())
    }
}

/// Whether the peer has hung up.
fn is_over(socket: &OwnedFd) -> bool {
    let mut byte = [0; 1];
    match recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, count)) => count == 0,
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}

/// The address of the peer of a TCP connection.
fn peer_of(stream: &Stream) -> String {
    let Some(socket) = stream.socket().filter(|_| stream.is_tcp()) else {
        return String::new();
    };
    let address = getpeername(&**socket).ok().flatten();
    let address = address.and_then(|it| SocketAddr::try_from(it).ok());
    address.map(|it| it.to_string()).unwrap_or_default()
}

fn retry_after(options: &ChardevSocket) -> Result<Option<Duration>, Error> {
    let Some(value) = options.reconnect_ms else {
        return Ok(None);
    };
    let milliseconds = u32::try_from(value)
        .map_err(|_| Error::generic(format!("Parameter 'reconnect-ms' cannot be {value}")))?;
    let pause = Duration::from_millis(milliseconds.into());
    Ok((!pause.is_zero()).then_some(pause))
}
