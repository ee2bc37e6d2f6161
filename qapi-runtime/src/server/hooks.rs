//! What the owner of a server may decide and get to know of its clients and their commands.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Connection, trace};
use crate::error::Error;
use crate::lock::lock;
use crate::session::{CallId, Observer};

/// What a server asks and tells its owner: for access rules, logs and metrics. Each function does nothing by default.
///
/// They are called on tokio's threads, between the commands of the client that they are about: they must not block.
///
/// ```no_run
/// # use std::time::Duration;
/// # use qapi_runtime::Error;
/// # use qapi_runtime::server::{Connection, Hooks, Server};
/// /// Only the user who runs the server may end it.
/// struct Rules {
///     owner: u32,
/// }
///
/// impl Hooks for Rules {
///     fn command(&self, connection: &Connection, command: &str) -> Result<(), Error> {
///         let user = connection.peer_credentials().map(|peer| peer.user);
///         if command == "quit" && user != Some(self.owner) {
///             return Err(Error::generic("this is for the owner only"));
///         }
///         Ok(())
///     }
///
///     fn answered(
///         &self,
///         connection: &Connection,
///         command: &str,
///         took: Duration,
///         result: Result<(), &Error>,
///     ) {
///         let number = connection.number();
///         match result {
///             Ok(()) => eprintln!("{number}: {command} in {took:?}"),
///             Err(error) => eprintln!("{number}: {command} failed: {error}"),
///         }
///     }
/// }
///
/// # fn install(server: &Server) {
/// server.set_hooks(Rules { owner: 0 });
/// # }
/// ```
pub trait Hooks: Send + Sync {
    /// A client has connected; nothing is sent to it yet. With an error its connection is closed, without a word to it.
    ///
    /// # Errors
    ///
    /// Why the client is not served, for the log.
    fn connected(&self, connection: &Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }

    /// A command is about to run, `qmp_capabilities` included. It exists and may run now; its arguments are not looked at
    /// yet. With an error it does not run, and this is its answer.
    ///
    /// # Errors
    ///
    /// What the client is to be told.
    fn command(&self, connection: &Connection, command: &str) -> Result<(), Error> {
        let _ = (connection, command);
        Ok(())
    }

    /// A command has its answer. Of input that is refused before anything runs, such as a command that does not exist, only
    /// this is told; `command` is empty where the input names none.
    fn answered(
        &self,
        connection: &Connection,
        command: &str,
        took: Duration,
        result: Result<(), &Error>,
    ) {
        let _ = (connection, command, took, result);
    }

    /// A client that was served is gone.
    fn disconnected(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// Looks on at one client, for the hooks and for `tracing`.
pub(super) struct Watch {
    connection: Connection,
    hooks: Option<Arc<dyn Hooks>>,
    /// The commands that run, and since when.
    running: Mutex<Vec<(CallId, Instant)>>,
}

impl Watch {
    /// `None` without hooks for it.
    pub(super) fn new(connection: &Connection, hooks: Option<Arc<dyn Hooks>>) -> Option<Self> {
        (hooks.is_some() || trace::IS_ON).then(|| Self {
            connection: connection.clone(),
            hooks,
            running: Mutex::default(),
        })
    }

    fn running<T>(&self, change: impl FnOnce(&mut Vec<(CallId, Instant)>) -> T) -> T {
        // What is locked here is never left half done.
        let mut running = lock(&self.running);
        change(&mut running)
    }
}

impl Observer for Watch {
    fn begins(&self, call: CallId, command: &str) -> Result<(), Error> {
        if let Some(hooks) = &self.hooks {
            hooks.command(&self.connection, command)?;
        }
        self.running(|running| running.push((call, Instant::now())));
        Ok(())
    }

    fn ends(&self, call: CallId, command: &str, result: Result<(), &Error>) {
        let start = self.running(|running| {
            let place = running.iter().position(|(running, _)| *running == call);
            place.map(|place| running.swap_remove(place).1)
        });
        let took = start.map_or(Duration::ZERO, |start| start.elapsed());
        trace::answered(self.connection.number(), command, took, result);
        if let Some(hooks) = &self.hooks {
            hooks.answered(&self.connection, command, took, result);
        }
    }
}
