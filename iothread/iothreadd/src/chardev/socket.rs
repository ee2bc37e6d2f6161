//! Character devices on stream sockets: one peer at a time.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{Clock, Dispatch, FdDispatch, FdWatch, Interest, MainContext, OnMain, Timer};
use qapi_runtime::Error;
use rustix::net::{Shutdown, getpeername, shutdown, sockopt};

use super::connect::{Connected, Plan, Ready, adopt};
use super::front_end::{FrontEnd, Lender, PeerStream, Reason};
use super::peer::{Peer, hang_up_of, is_over, is_over_behind_rest};
use crate::errno::reason;
use crate::net::descriptors::SessionDescriptors;
use crate::net::listener::Listener;
use crate::net::log::Log;
use crate::net::sockets::{describe_connection, listen_at, modern, take_socket};
use crate::net::stream::Stream;
use crate::oneshot;
use crate::qapi::{ChardevSocket, SocketAddress, SocketAddressLegacy, YankInstance};
use crate::sync::{Level, Mutex, MutexGuard};
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
        /// Whether somebody else has made the connection.
        is_given: bool,
        /// What to connect to again, and after how long.
        again: Option<(Plan, Duration)>,
    },
}

#[derive(Default)]
struct State {
    peer: Peer,
    /// Tells peers apart.
    generation: u64,
    /// How its connection is called, unless it is called as the device.
    connection: Option<String>,
    peer_address: String,
    front_end: Option<Arc<dyn FrontEnd>>,
    is_closed: bool,
    /// Who waits for the first peer.
    waiting: Vec<oneshot::Sender<()>>,
    /// Connects again.
    retry: Option<Timer>,
}

impl Lender for SocketDevice {
    fn take_back(self: Arc<Self>, number: u64, reason: Reason) {
        let device = Arc::clone(&self);
        // Without a main loop everything is over.
        let _ = self.main.run(move |main| match reason {
            Reason::HungUp => device.hung_up(main, number),
            Reason::Dismissed => device.dismissed(main, number),
            Reason::Unused => device.returned(main, number),
        });
    }
}

impl SocketDevice {
    /// Opens a device.
    pub(super) fn open(
        here: OnMain<'_>,
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
        let mut is_given = false;
        let connected = match (&plan, ready.connected, modern(options.addr.clone())) {
            (None, None, SocketAddress::Fd(fd)) => {
                let socket = take_socket(descriptors, &fd.str)?;
                is_given = true;
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
            is_given,
            again: plan.zip(retry),
        };
        let device = Self::new(main, way, nodelay, ready.log);
        match connected {
            Some(connected) => device.connected(here, connected),
            None => device.try_to_connect(here),
        }
        Ok(device)
    }

    fn new(main: &MainContext, way: Way, nodelay: bool, log: Option<Arc<Log>>) -> Arc<Self> {
        Arc::new(Self {
            main: main.clone(),
            way,
            nodelay,
            log,
            state: Mutex::at(Level::Peer, State::default()),
            yank: Mutex::default(),
        })
    }

    fn listen(self: &Arc<Self>) -> Result<(), Error> {
        let Way::Listen(listeners) = &self.way else {
            return Ok(());
        };
        for listener in listeners {
            let device = Arc::downgrade(self);
            let watched = listener.watch_on_main(&self.main, move |main, stream| {
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
                device.connected(main, Connected { stream, peer });
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

    /// Shuts the connection down; its user sees its end. From any thread.
    fn shut_down(&self) {
        let waiting = {
            let mut state = self.state.lock();
            if let Some(socket) = state.peer.stream().and_then(Stream::socket) {
                // The peer may be gone already.
                let _ = shutdown(&**socket, Shutdown::Both);
            }
            std::mem::take(&mut state.waiting)
        };
        // Who waits learns that no peer comes.
        drop(waiting);
    }

    /// A peer has come.
    fn connected(self: &Arc<Self>, main: OnMain<'_>, connected: Connected) {
        let Connected { stream, peer } = connected;
        let stream = stream.with_log(self.log.clone());
        let mut state = self.state.lock();
        if state.is_closed || state.peer.is_there() {
            drop(state);
            stream.close();
            return;
        }
        self.set_accepting(false);
        state.generation += 1;
        state.peer_address = peer;
        state.connection = self.name_of(&stream);
        let waiting = std::mem::take(&mut state.waiting);
        self.place(main, state, stream);
        for sender in waiting {
            sender.send(());
        }
    }

    /// How a connection is called that is not called as the device.
    fn name_of(&self, stream: &Stream) -> Option<String> {
        let (is_server, is_given) = match self.way {
            Way::Listen(_) => (true, false),
            Way::Connect { is_given, .. } => (false, is_given),
        };
        let name = describe_connection(stream.socket()?, is_server);
        // A path may have been bound under another name.
        let has_path = name
            .strip_prefix("unix:")
            .is_some_and(|path| !path.is_empty());
        (is_given || !has_path).then_some(name)
    }

    /// Gives a connection to the front end, or else keeps an eye on it.
    fn place(self: &Arc<Self>, main: OnMain<'_>, mut state: MutexGuard<'_, State>, stream: Stream) {
        let generation = state.generation;
        let Some(front_end) = state.front_end.clone() else {
            match self.watch_idle(&stream, generation) {
                Some(watch) => state.peer = Peer::Idle { stream, watch },
                None => {
                    state.peer = Peer::None;
                    drop(state);
                    stream.close();
                    self.resume(main);
                }
            }
            return;
        };
        state.peer = Peer::Lent(stream.clone());
        drop(state);
        let lender: Weak<dyn Lender> = Arc::<Self>::downgrade(self);
        front_end.connected(main, PeerStream::lent_by(lender, generation, stream));
    }

    /// Waits for the peer to hang up, and receives nothing, since that has to wait for a front end.
    fn watch_idle(self: &Arc<Self>, stream: &Stream, generation: u64) -> Option<FdWatch> {
        let socket = stream.socket()?;
        if !stream.is_tcp() {
            let hang_up = hang_up_of(socket).ok()?;
            return self.watch(Arc::new(hang_up), generation, |_, _| true);
        }
        self.watch(Arc::clone(socket), generation, |socket, dispatch| {
            let is_gone = is_over(socket);
            if !is_gone {
                // It has sent something. Can only fail when everything ends.
                let _ = dispatch.set_interest(Interest::NONE);
            }
            is_gone
        })
    }

    /// Waits for the peer to hang up, which `is_gone` finds out when there is something to receive.
    fn watch(
        self: &Arc<Self>,
        socket: Arc<OwnedFd>,
        generation: u64,
        is_gone: impl Fn(&OwnedFd, &mut FdDispatch<'_>) -> bool + Send + 'static,
    ) -> Option<FdWatch> {
        let device = Arc::downgrade(self);
        let watch = self
            .main
            .watch(socket)
            .on_readable(move |socket: &Arc<OwnedFd>, dispatch| {
                if is_gone(socket, dispatch)
                    && let (Some(device), Some(main)) = (device.upgrade(), dispatch.on_main())
                {
                    device.hung_up(main, generation);
                }
            });
        watch.register().ok()
    }

    /// The peer is gone.
    fn hung_up(self: &Arc<Self>, main: OnMain<'_>, generation: u64) {
        let peer = {
            let mut state = self.state.lock();
            if state.generation != generation {
                return;
            }
            std::mem::take(&mut state.peer)
        };
        if peer.is_there() {
            peer.end();
            self.resume(main);
        }
    }

    /// The front end has given a connection back that is not over.
    fn returned(self: &Arc<Self>, main: OnMain<'_>, generation: u64) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        match std::mem::take(&mut state.peer) {
            Peer::Lent(stream) if !state.is_closed => self.place(main, state, stream),
            Peer::Lent(stream) => {
                drop(state);
                stream.close();
            }
            other @ (Peer::None | Peer::Idle { .. } | Peer::Dismissed { .. }) => state.peer = other,
        }
    }

    /// The front end has ended a session whose peer is still there.
    fn dismissed(self: &Arc<Self>, main: OnMain<'_>, generation: u64) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        let stream = match std::mem::take(&mut state.peer) {
            Peer::Lent(stream) => stream,
            other @ (Peer::None | Peer::Idle { .. } | Peer::Dismissed { .. }) => {
                state.peer = other;
                return;
            }
        };
        let is_kept = !state.is_closed && state.front_end.is_none();
        let socket = stream.socket().filter(|_| is_kept).cloned();
        let watch = socket.and_then(|socket| {
            self.watch(socket, generation, |socket, _| is_over_behind_rest(socket))
        });
        match watch {
            Some(watch) => state.peer = Peer::Dismissed { stream, watch },
            None => {
                drop(state);
                stream.close();
                self.resume(main);
            }
        }
    }

    /// Looks for the next peer.
    fn resume(self: &Arc<Self>, main: OnMain<'_>) {
        if self.state.lock().is_closed {
            return;
        }
        match &self.way {
            Way::Listen(_) => self.set_accepting(true),
            Way::Connect { again, .. } => {
                if let Some((_, delay)) = again {
                    self.retry_after(main, *delay);
                }
            }
        }
    }

    fn set_accepting(&self, accepts: bool) {
        if let Way::Listen(listeners) = &self.way {
            listeners.iter().for_each(|it| it.set_accepting(accepts));
        }
    }

    fn retry_after(self: &Arc<Self>, main: OnMain<'_>, delay: Duration) {
        let device = Arc::downgrade(self);
        let timer = main.context().timer(Clock::Monotonic, move |dispatch| {
            if let (Some(device), Some(main)) = (device.upgrade(), dispatch.on_main()) {
                device.try_to_connect(main);
            }
        });
        // Can only fail when everything ends.
        if let Ok(timer) = timer {
            timer.arm_after(delay);
            let before = self.state.lock().retry.replace(timer);
            drop(before);
        }
    }

    fn try_to_connect(self: &Arc<Self>, main: OnMain<'_>) {
        let Way::Connect {
            again: Some((plan, delay)),
            ..
        } = &self.way
        else {
            return;
        };
        let (plan, delay) = (plan.clone(), *delay);
        let device = Arc::clone(self);
        let connected = move |dispatch: &mut Dispatch<'_>, result| {
            let Some(main) = dispatch.on_main() else {
                return;
            };
            match result {
                Ok(Ok(connected)) => device.connected(main, connected),
                Ok(Err(_)) | Err(_) => {
                    if !device.state.lock().is_closed {
                        device.retry_after(main, delay);
                    }
                }
            }
        };
        // As above.
        let _ = main
            .context()
            .spawn_blocking(move || plan.connect(), connected);
    }

    /// The own addresses of sockets that others have connected to: those on which it listens, and one that it was given.
    /// What it connects to by itself is its user's choice.
    pub(super) fn inet_addresses(&self) -> Vec<SocketAddr> {
        match &self.way {
            Way::Listen(listeners) => {
                let addresses = listeners.iter().map(Listener::inet_address);
                addresses.flatten().collect()
            }
            Way::Connect { is_given: true, .. } => {
                let state = self.state.lock();
                let stream = state.peer.stream();
                stream.map(Stream::inet_addresses).unwrap_or_default()
            }
            Way::Connect {
                is_given: false, ..
            } => Vec::new(),
        }
    }

    /// Whether a peer is there.
    pub(super) fn is_connected(&self) -> bool {
        self.state.lock().peer.is_there()
    }

    /// Ends with the first peer, or with `None` if the wait is broken off.
    pub(super) fn first_peer(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if state.peer.is_there() {
            drop(state);
            sender.send(());
        } else {
            state.waiting.push(sender);
        }
        receiver
    }

    pub(super) fn attach(self: &Arc<Self>, main: OnMain<'_>, front_end: Arc<dyn FrontEnd>) {
        let mut state = self.state.lock();
        state.front_end = Some(front_end);
        match std::mem::take(&mut state.peer) {
            Peer::Idle { stream, watch } => {
                drop(watch);
                self.place(main, state, stream);
            }
            dismissed @ Peer::Dismissed { .. } => {
                drop(state);
                dismissed.end();
                self.resume(main);
            }
            other @ (Peer::None | Peer::Lent(_)) => state.peer = other,
        }
    }

    pub(super) fn detach(&self) {
        let front_end = self.state.lock().front_end.take();
        drop(front_end);
    }

    /// Ends everything.
    pub(super) fn close(&self, _: OnMain<'_>) {
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
        peer.end();
        drop(waiting);
    }
}

/// The device as `query-chardev` names it.
impl fmt::Display for SocketDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let has_peer = state.peer.is_there();
        if !has_peer {
            f.write_str("disconnected:")?;
        }
        match (&self.way, state.connection.as_ref().filter(|_| has_peer)) {
            (_, Some(name)) => f.write_str(name)?,
            (Way::Listen(listeners), None) => {
                if let Some(listener) = listeners.first() {
                    write!(f, "{listener}")?;
                }
            }
            (Way::Connect { target, .. }, None) => f.write_str(target)?,
        }
        if let Way::Listen(_) = self.way {
            f.write_str(",server=on")?;
        }
        if has_peer && !state.peer_address.is_empty() {
            write!(f, " <-> {}", state.peer_address)?;
        }
        Ok(())
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
