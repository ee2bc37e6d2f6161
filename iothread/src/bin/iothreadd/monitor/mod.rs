//! QMP monitors: each holds the internal IOThread and serves any number of sessions there.

mod call;
mod client;
pub(crate) mod listener;
pub(crate) mod stream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use iothread::{HeldAioContext, IoThread, MainContext, holder};
use qapi_runtime::session::{EventMessage, SessionConfig};
use thiserror::Error;

use self::client::Client;
use self::listener::{ListenError, Listener};
use self::stream::Stream;
use crate::options::{Address, QmpOption};
use crate::server::Server;
use crate::sync::Mutex;

/// Id of the IOThread that monitors run on; QEMU calls it so too.
const MONITOR_IOTHREAD: &str = "mon_iothread";

/// A monitor that cannot be served.
#[derive(Debug, Error)]
pub(crate) enum MonitorError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("there is a monitor '{name}' already")]
    Duplicate { name: String },
    #[error("cannot start the monitors' IOThread: {0}")]
    Create(#[from] iothread::CreateError),
    #[error("cannot take the monitors' IOThread: {0}")]
    Hold(#[from] iothread::HoldError),
    #[error("cannot use the standard streams: {0}")]
    Stdio(#[from] std::io::Error),
    #[error("cannot watch {what}: {source}")]
    Watch {
        what: String,
        source: iothread::ContextError,
    },
}

/// How clients come to a monitor.
enum WayIn {
    Listener(Listener),
    /// One is there from the start.
    Stdio(Stream),
}

/// All QMP monitors.
pub(crate) struct Monitors {
    main: MainContext,
    list: Mutex<Vec<Arc<Monitor>>>,
    n_unnamed: AtomicU64,
    /// No new sessions; the main loop ends with the last one.
    closing: AtomicBool,
}

impl Monitors {
    pub(crate) fn new(main: &MainContext) -> Self {
        Self {
            main: main.clone(),
            list: Mutex::default(),
            n_unnamed: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        }
    }

    /// Serves a monitor as an option says.
    pub(crate) fn add(
        &self,
        server: &Arc<Server>,
        option: &QmpOption,
        config: SessionConfig,
    ) -> Result<(), MonitorError> {
        let way_in = match &option.address {
            Address::Stdio => WayIn::Stdio(Stream::stdio()?),
            address => WayIn::Listener(Listener::bind(address)?),
        };
        let name = match &option.id {
            Some(id) => id.clone(),
            None => {
                let number = self.n_unnamed.fetch_add(1, Ordering::Relaxed);
                format!("compat_monitor{number}")
            }
        };
        if self.list.lock().iter().any(|known| known.name == name) {
            return Err(MonitorError::Duplicate { name });
        }
        let context = monitor_iothread()?.get_aio_context(holder::monitor(&name))?;
        let monitor = Arc::new(Monitor {
            name,
            context,
            server: Arc::downgrade(server),
            main: self.main.clone(),
            config: SessionConfig {
                pretty: option.pretty,
                ..config
            },
            listener: OnceLock::new(),
            clients: Mutex::default(),
            next_client: AtomicU64::new(0),
            ends_server: matches!(way_in, WayIn::Stdio(_)),
        });
        self.list.lock().push(Arc::clone(&monitor));
        match way_in {
            WayIn::Listener(listener) => monitor.listen(listener),
            WayIn::Stdio(stream) => {
                let starting = Arc::clone(&monitor);
                monitor
                    .context
                    .post(move |_| starting.serve(stream))
                    .map_err(|source| MonitorError::Watch {
                        what: "the standard streams".to_owned(),
                        source,
                    })
            }
        }
    }

    /// Sends an event to every session.
    pub(crate) fn send(&self, event: &EventMessage) {
        for monitor in self.list.lock().iter() {
            let (event, receiver) = (event.clone(), Arc::clone(monitor));
            // A monitor that is gone has no sessions.
            let _ = monitor.context.post(move |_| receiver.send(&event));
        }
    }

    /// Lets every session send what it owes and end, then the main loop.
    pub(crate) fn close(self: &Arc<Self>) {
        self.closing.store(true, Ordering::Release);
        for monitor in self.list.lock().iter() {
            let closing = Arc::clone(monitor);
            // A monitor that is gone has no sessions.
            let _ = monitor.context.post(move |_| closing.close());
        }
        self.check_drained();
    }

    /// Ends the main loop if no session is left to wait for.
    fn check_drained(&self) {
        if !self.closing.load(Ordering::Acquire) {
            return;
        }
        let drained = |monitor: &Arc<Monitor>| monitor.clients.lock().is_empty();
        if self.list.lock().iter().all(drained) {
            self.main.quit();
        }
    }

    /// Ends all monitors at once.
    pub(crate) fn clear(&self) {
        let monitors = std::mem::take(&mut *self.list.lock());
        for monitor in monitors {
            if let Some(listener) = monitor.listener.get() {
                listener.stop();
            }
            for client in monitor.all_clients() {
                client.abandon();
            }
        }
    }
}

/// The internal IOThread of all monitors, made with the first of them.
fn monitor_iothread() -> Result<IoThread, iothread::CreateError> {
    match iothread::Registry::global().find_internal(MONITOR_IOTHREAD) {
        Some(thread) => Ok(thread),
        None => IoThread::builder(MONITOR_IOTHREAD).internal().spawn(),
    }
}

/// One QMP monitor: one holder, however many sessions.
pub(crate) struct Monitor {
    name: String,
    context: HeldAioContext,
    /// Owns the monitors.
    server: Weak<Server>,
    main: MainContext,
    config: SessionConfig,
    /// Unset for the standard streams, which are there from the start.
    listener: OnceLock<Listener>,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    next_client: AtomicU64,
    /// Whether the server ends with the monitor's session.
    ends_server: bool,
}

impl Monitor {
    fn listen(self: &Arc<Self>, listener: Listener) -> Result<(), MonitorError> {
        let what = listener.to_string();
        let accepting = Arc::downgrade(self);
        let watched = listener.watch(&self.context, move |stream| {
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
        let Some(server) = self.server.upgrade() else {
            return;
        };
        let number = self.next_client.fetch_add(1, Ordering::Relaxed);
        let client = Client::new(self, &server, number, self.config.clone());
        self.clients.lock().insert(number, Arc::clone(&client));
        client.start(&self.context, stream);
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
        self.check_drained();
        if self.ends_server
            && let Some(server) = self.server.upgrade()
        {
            server.quit();
        }
    }

    fn check_drained(&self) {
        if let Some(server) = self.server.upgrade() {
            server.monitors().check_drained();
        }
    }
}
