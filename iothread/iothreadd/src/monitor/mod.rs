//! QMP monitors: each holds the internal IOThread and serves any number of sessions there.

mod call;
mod client;
mod conversation;
mod object;
mod on_chardev;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use iothread::{Clock, MainContext, OnMain, SharedContext, Timer, holder};
use qapi_runtime::session::{EventMessage, SessionConfig};
use thiserror::Error;

pub(crate) use self::call::SessionCommands;
use self::client::Client;
use self::object::{MonitorObject, Settings};
use crate::chardev::{Attachment, PeerStream};
use crate::events::EventSink;
use crate::host::Host;
use crate::life::Life;
use crate::net::address::Address;
use crate::net::descriptors::SessionDescriptors;
use crate::net::listener::{ListenError, Listener, WayIn};
use crate::net::reach::Reach;
use crate::net::stream::Stream;
use crate::options::QmpOption;
use crate::qapi::{MonitorCloseAction, YankInstance, YankInstanceChardev};
use crate::qom::Object;
use crate::sync::{Level, Mutex};
use crate::yank::YankGuard;

/// Id of the IOThread that monitors run on; QEMU calls it so too.
const MONITOR_IOTHREAD: &str = "mon_iothread";

/// A monitor that cannot be served.
#[derive(Debug, Error)]
pub(crate) enum MonitorError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("there is a monitor '{name}' already")]
    Duplicate { name: String },
    #[error("{}", .0.desc)]
    Object(qapi_runtime::Error),
    #[error("cannot start the monitors' IOThread: {0}")]
    Create(#[from] iothread::CreateError),
    #[error("cannot take the monitors' IOThread: {0}")]
    Hold(#[from] iothread::HoldError),
    #[error("cannot watch {what}: {source}")]
    Watch {
        what: String,
        source: iothread::ContextError,
    },
}

/// What monitors ask of the server that has them.
pub(crate) trait Owner: Life {
    /// The commands, for a session of the monitor of that name.
    fn commands(&self, descriptors: &Arc<SessionDescriptors>, monitor: &str) -> SessionCommands;

    /// The client is gone with which the monitor and its device are to go.
    fn delete(&self, main: OnMain<'_>, monitor: &str, chardev: &str);
}

/// All QMP monitors.
pub(crate) struct Monitors {
    main: MainContext,
    /// What holds for every session.
    config: SessionConfig,
    reach: Reach,
    owner: OnceLock<Weak<dyn Owner>>,
    list: Mutex<Vec<Arc<Monitor>>>,
    n_unnamed: AtomicU64,
}

/// A monitor of an option that is not listed yet, nor served.
pub(crate) struct Opened {
    way_in: WayIn,
    name: String,
    pretty: bool,
    ends_server: bool,
}

impl Opened {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// One that is listed, and not served yet.
pub(crate) struct Made {
    way_in: WayIn,
    monitor: Arc<Monitor>,
}

impl Monitors {
    pub(crate) fn new(main: &MainContext, config: SessionConfig, reach: Reach) -> Self {
        Self {
            main: main.clone(),
            config,
            reach,
            owner: OnceLock::new(),
            list: Mutex::at(Level::List, Vec::new()),
            n_unnamed: AtomicU64::new(0),
        }
    }

    /// Says whose they are, before there is any.
    pub(crate) fn belong_to(&self, owner: Weak<dyn Owner>) {
        // Said once.
        let _ = self.owner.set(owner);
    }

    fn owner(&self) -> Option<Weak<dyn Owner>> {
        self.owner.get().cloned()
    }

    /// Opens the way into a monitor, as an option says.
    pub(crate) fn open(&self, option: &QmpOption) -> Result<Opened, MonitorError> {
        let way_in = WayIn::open(&option.address, self.reach)?;
        let name = match &option.id {
            Some(id) => id.clone(),
            None => {
                let number = self.n_unnamed.fetch_add(1, Ordering::Relaxed);
                format!("compat_monitor{number}")
            }
        };
        Ok(Opened {
            way_in,
            name,
            pretty: option.pretty,
            ends_server: option.address == Address::Stdio,
        })
    }

    /// Makes the monitor, and what it is as an object.
    pub(crate) fn make(
        &self,
        host: &Host,
        opened: Opened,
    ) -> Result<(Made, Arc<dyn Object>), MonitorError> {
        let Opened {
            way_in,
            name,
            pretty,
            ends_server,
        } = opened;
        let settings = Settings::new(name.clone(), pretty, &MonitorCloseAction::None);
        let settings = Arc::new(settings);
        let new = NewMonitor {
            name,
            settings: Arc::clone(&settings),
            ends_server,
        };
        let monitor = self.create(host, new)?;
        Ok((Made { way_in, monitor }, Arc::new(MonitorObject(settings))))
    }

    /// Makes a monitor that holds the monitors' IOThread and has no way in yet.
    fn create(&self, host: &Host, new: NewMonitor) -> Result<Arc<Monitor>, MonitorError> {
        let NewMonitor {
            name,
            settings,
            ends_server,
        } = new;
        let mut list = self.list.lock();
        if list.iter().any(|known| known.name == name) {
            return Err(MonitorError::Duplicate { name });
        }
        let thread = host.threads.internal(MONITOR_IOTHREAD)?;
        let context = thread.get_aio_context(holder::monitor(&name))?.share();
        let monitor = Arc::new(Monitor {
            name,
            context,
            owner: self.owner(),
            main: self.main.clone(),
            config: self.config.clone(),
            listener: OnceLock::new(),
            yank: Mutex::default(),
            attachment: Mutex::default(),
            connections: Mutex::default(),
            clients: Mutex::default(),
            next_client: AtomicU64::new(0),
            ends_server,
            settings,
        });
        list.push(Arc::clone(&monitor));
        Ok(monitor)
    }

    /// Lets every session send what it owes and end, then the main loop.
    pub(crate) fn close(self: &Arc<Self>) {
        for monitor in self.list.lock().iter() {
            let closing = Arc::clone(monitor);
            monitor.post(move || closing.close());
        }
    }

    /// Whether no session is left to wait for.
    pub(crate) fn are_drained(&self) -> bool {
        let drained = |monitor: &Arc<Monitor>| monitor.clients.lock().is_empty();
        self.list.lock().iter().all(drained)
    }

    /// Ends all monitors at once.
    pub(crate) fn clear(&self) {
        let monitors = std::mem::take(&mut *self.list.lock());
        for monitor in monitors {
            if let Some(listener) = monitor.listener.get() {
                listener.stop();
            }
            monitor.abandon();
        }
    }
}

impl Made {
    /// Lets clients in.
    pub(crate) fn serve(self, host: &Host) -> Result<(), MonitorError> {
        let Self { way_in, monitor } = self;
        match way_in {
            WayIn::Listener(listener) => {
                monitor.register(host);
                monitor.listen(listener)
            }
            WayIn::Stream(stream) => {
                let starting = Arc::clone(&monitor);
                monitor.post(move || starting.serve(stream));
                Ok(())
            }
        }
    }
}

impl EventSink for Monitors {
    fn send(&self, event: &EventMessage) {
        for monitor in self.list.lock().iter() {
            let (event, receiver) = (event.clone(), Arc::clone(monitor));
            monitor.post(move || receiver.send(&event));
        }
    }
}

/// What there is to say about a new monitor.
struct NewMonitor {
    name: String,
    settings: Arc<Settings>,
    ends_server: bool,
}

/// One QMP monitor: one holder, however many sessions.
pub(crate) struct Monitor {
    name: String,
    /// Released when the monitor is removed.
    context: SharedContext,
    owner: Option<Weak<dyn Owner>>,
    main: MainContext,
    config: SessionConfig,
    /// Unset for the standard streams, which are there from the start.
    listener: OnceLock<Listener>,
    yank: Mutex<Option<YankGuard>>,
    /// What connects a monitor to its character device.
    attachment: Mutex<Option<Attachment>>,
    /// The connections of the device, by the numbers of their clients.
    connections: Mutex<HashMap<u64, PeerStream>>,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    next_client: AtomicU64,
    /// Whether the server ends with the monitor's session.
    ends_server: bool,
    settings: Arc<Settings>,
}

impl Monitor {
    /// Runs something on the monitor's thread, unless the monitor is gone.
    fn post(&self, run: impl FnOnce() + Send + 'static) {
        // Refused once the monitor is gone.
        let _ = self.context.post(move |_| run());
    }

    /// What holds for a session that begins now.
    fn config(&self) -> SessionConfig {
        SessionConfig {
            pretty: self.settings.pretty(),
            ..self.config.clone()
        }
    }

    /// Whether it has a way in of its own, and so is there for good.
    fn is_of_option(&self) -> bool {
        self.ends_server || self.listener.get().is_some()
    }

    /// Who has the monitors; `None` at the end of the server.
    fn owner(&self) -> Option<Arc<dyn Owner>> {
        self.owner.as_ref().and_then(Weak::upgrade)
    }

    /// The name, for its sessions.
    fn name(&self) -> &str {
        &self.name
    }

    fn listen(self: &Arc<Self>, listener: Listener) -> Result<(), MonitorError> {
        let what = listener.to_string();
        let accepting = Arc::downgrade(self);
        let watched = listener.watch(&self.context, move |stream, _| {
            if let Some(monitor) = accepting.upgrade() {
                monitor.serve(stream);
            }
        });
        // Kept even if it failed, so that the path is given up in one place.
        let _ = self.listener.set(listener);
        watched.map_err(|source| MonitorError::Watch { what, source })
    }

    /// Begins a session; on the monitor's thread.
    fn serve(self: &Arc<Self>, stream: Stream) {
        self.serve_as(self.next_number(), stream);
    }

    fn next_number(&self) -> u64 {
        self.next_client.fetch_add(1, Ordering::Relaxed)
    }

    fn serve_as(self: &Arc<Self>, number: u64, stream: Stream) {
        let Some(owner) = self.owner() else {
            return;
        };
        let config = SessionConfig {
            // Only there a web page can have a browser connect.
            ends_foreign: stream.is_tcp(),
            ..self.config()
        };
        let client = Client::new(self, &*owner, number, config);
        self.clients.lock().insert(number, Arc::clone(&client));
        client.start(stream);
    }

    /// Where sessions run.
    fn context(&self) -> &SharedContext {
        &self.context
    }

    /// A timer on the monitor's thread; `None` if the monitor is gone.
    fn timer(&self, run: impl Fn() + Send + 'static) -> Option<Timer> {
        self.context.timer(Clock::Monotonic, move |_| run()).ok()
    }

    /// Ends all sessions at once.
    fn abandon(&self) {
        for client in self.all_clients() {
            client.abandon();
        }
        self.clients.lock().clear();
    }

    /// Lets the sessions be ended by name.
    fn register(self: &Arc<Self>, host: &Host) {
        let monitor = Arc::downgrade(self);
        let id = self.name.clone();
        let instance = YankInstance::Chardev(YankInstanceChardev { id });
        let guard = host.yanks.register(instance, move || {
            if let Some(monitor) = monitor.upgrade() {
                let ending = Arc::clone(&monitor);
                // One of the sessions may be the one that asks for it.
                monitor.post(move || ending.all_clients().iter().for_each(|it| it.cut_off()));
            }
        });
        // A device on the command line may have the name; then that is the one to be yanked.
        if let Ok(guard) = guard {
            *self.yank.lock() = Some(guard);
        }
    }

    fn filename(&self) -> String {
        let Some(listener) = self.listener.get() else {
            return "stdio".to_owned();
        };
        let state = match self.clients.lock().is_empty() {
            true => "disconnected:",
            false => "",
        };
        format!("{state}{listener},server=on")
    }

    fn all_clients(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }

    fn send(&self, event: &EventMessage) {
        for client in self.all_clients() {
            client.send_event(event);
        }
    }

    /// Ends the sessions in an orderly way.
    fn close(&self) {
        if let Some(listener) = self.listener.get() {
            listener.stop();
        }
        for client in self.all_clients() {
            client.finish();
        }
        self.check_drained();
    }

    /// A session is over.
    fn remove(&self, number: u64) {
        self.clients.lock().remove(&number);
        self.connection_is_over(number);
        self.check_drained();
        if self.ends_server
            && let Some(owner) = self.owner()
        {
            owner.quit();
        }
    }

    fn check_drained(&self) {
        if let Some(owner) = self.owner() {
            owner.session_is_over();
        }
    }
}
