//! The human monitor: one line in, text out.
//!
//! - `conversation`, `editor`: what is typed and shown, without I/O; `session`: one client.
//! - `line`, `arguments`, `expression`: how a line is read; `command` and the others: what it does.

mod arguments;
mod block;
mod chardev;
mod command;
mod commands;
mod conversation;
mod editor;
mod expression;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod iothreads;
mod line;
mod session;
mod tree;

use std::sync::Arc;

use iothread::{ContextError, OnMain};
use thiserror::Error;

pub(crate) use self::commands::execute;
use self::session::HumanSession;
use crate::net::address::Address;
use crate::net::listener::{ListenError, Listener, WayIn};
use crate::net::reach::Reach;
use crate::net::stream::Stream;
use crate::parts::Parts;
use crate::sync::{Level, Mutex};

/// A human monitor that cannot be served.
#[derive(Debug, Error)]
pub(crate) enum HumanMonitorError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot watch {what}: {source}")]
    Watch { what: String, source: ContextError },
}

/// All human monitors. They run on the main loop, as in QEMU, so their commands may do anything.
pub(crate) struct HumanMonitors {
    parts: Arc<Parts>,
    reach: Reach,
    listeners: Mutex<Vec<Listener>>,
    sessions: Mutex<Vec<Arc<HumanSession>>>,
}

impl HumanMonitors {
    pub(crate) fn new(parts: &Arc<Parts>, reach: Reach) -> Self {
        Self {
            parts: Arc::clone(parts),
            reach,
            listeners: Mutex::at(Level::List, Vec::new()),
            sessions: Mutex::default(),
        }
    }

    /// Serves human monitors at an address.
    pub(crate) fn add(
        self: &Arc<Self>,
        main: OnMain<'_>,
        address: &Address,
    ) -> Result<(), HumanMonitorError> {
        let listener = match WayIn::open(address, self.reach)? {
            WayIn::Listener(listener) => listener,
            WayIn::Stream(stream) => {
                self.serve(main, stream);
                return Ok(());
            }
        };
        let serving = Arc::downgrade(self);
        let serve = move |main: OnMain<'_>, stream| {
            if let Some(monitors) = serving.upgrade() {
                monitors.serve(main, stream);
            }
        };
        let watched = listener.watch_on_main(&self.parts.host.main, serve);
        let what = listener.to_string();
        self.listeners.lock().push(listener);
        watched.map_err(|source| HumanMonitorError::Watch { what, source })
    }

    fn serve(self: &Arc<Self>, main: OnMain<'_>, stream: Stream) {
        let ending = Arc::downgrade(self);
        let over = move |session: &Arc<HumanSession>| {
            if let Some(monitors) = ending.upgrade() {
                monitors.remove(session);
            }
        };
        let session = HumanSession::new(&self.parts, stream, Box::new(over));
        self.sessions.lock().push(Arc::clone(&session));
        session.start(main);
    }

    /// A session is over.
    fn remove(&self, session: &Arc<HumanSession>) {
        self.sessions
            .lock()
            .retain(|known| !Arc::ptr_eq(known, session));
    }

    /// Ends all sessions at the end of the server, each when it has sent what it has printed.
    pub(crate) fn close(&self, main: OnMain<'_>) {
        self.stop_listening();
        let sessions = self.sessions.lock().clone();
        for session in sessions {
            session.finish(main);
        }
    }

    /// Whether no session is left to wait for.
    pub(crate) fn are_drained(&self) -> bool {
        self.sessions.lock().is_empty()
    }

    fn stop_listening(&self) {
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            listener.stop();
        }
    }

    /// Ends all sessions at once.
    pub(crate) fn clear(&self, main: OnMain<'_>) {
        self.stop_listening();
        let sessions = std::mem::take(&mut *self.sessions.lock());
        for session in sessions {
            session.abandon(main);
        }
    }
}
