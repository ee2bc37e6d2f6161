//! A server that answers as a log says.
//!
//! Each client gets a connection of the log, in their order. A command of the client is looked for among those that were
//! recorded: ids are free, and so are the arguments of the negotiation and what was masked. What the server said is said when the
//! commands before it have come. Where a client strays, a [`Stray`] says so, with the line of the log, and it is answered as well
//! as can be: what it left out is passed over, and what was recorded elsewhere is answered as there.
//!
//! Where the log has an answer to `query-qmp-schema`, or a schema is given, commands are checked by it, but for those to which the
//! answer was an error.
//!
//! ```
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::{CallOptions, ConnectOptions, Transcript};
//! use qmp::replay::Replayer;
//!
//! let log = Transcript::parse(
//!     r#"{"qmp-session-log": 1}
//! {"connection": 1, "at": 0, "received": {"QMP": {"version": {}, "capabilities": []}}}
//! {"connection": 1, "at": 1, "sent": {"execute": "qmp_capabilities"}}
//! {"connection": 1, "at": 2, "received": {"return": {}}}
//! {"connection": 1, "at": 3, "sent": {"execute": "query-name"}}
//! {"connection": 1, "at": 4, "received": {"return": {"name": "guest"}}}
//! "#,
//! )?;
//! let server = Replayer::new(log).start()?;
//! let client = Client::connect(ConnectOptions::new(server.address().clone()))?;
//! client.execute_raw("query-name", None, CallOptions::new())?;
//! assert!(client.execute_raw("stop", None, CallOptions::new()).is_err());
//! drop(client);
//! let strays = server.wait();
//! assert_eq!(strays.len(), 1);
//! assert!(strays[0].to_string().starts_with("6: nothing more was expected, and"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod player;
mod script;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qapi_runtime::Value;
use qapi_runtime::address::Address;
use qapi_runtime::client::Transcript;

use self::player::Player;
use self::script::{Asked, Script, scripts};
use crate::check::Part;
use crate::wire::listen::Listener;
use crate::wire::serve::{Engaged, Serving};

/// A place where a client did something else than was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    line: Option<usize>,
    text: String,
}

impl Stray {
    fn at(line: Option<usize>, text: String) -> Self {
        Self { line, text }
    }

    /// The line of the log at which the client was; none where it has nothing for this client.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

/// The line, and what happened there. Controls of what a client says are shown as escapes.
impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        f.write_str(&crate::output::shown(&self.text))
    }
}

/// A server that answers as a log says, before it is started.
#[derive(Debug)]
pub struct Replayer {
    log: Transcript,
    listen: Option<Address>,
    schema: Option<Vec<u8>>,
}

impl Replayer {
    /// A server for this log.
    #[must_use]
    pub fn new(log: Transcript) -> Self {
        Self {
            log,
            listen: None,
            schema: None,
        }
    }

    /// Listens there. Otherwise at a name that nobody else has.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.listen = Some(address);
        self
    }

    /// Checks commands by this answer to `query-qmp-schema`, and not by the one in the log.
    ///
    /// # Errors
    ///
    /// Why it cannot be replayed.
    pub fn schema(mut self, told: Vec<u8>) -> Result<Self, String> {
        Part::read(&told, "")?;
        self.schema = Some(told);
        Ok(self)
    }

    /// Starts to listen, for as many clients as the log has connections.
    ///
    /// # Errors
    ///
    /// What the system refuses, and a log without any connection.
    pub fn start(self) -> io::Result<RunningReplayer> {
        self.start_with(|_| {}, |_| {})
    }

    /// As [`Self::start`]. Each stray is told when it happens, and what cannot be done to `complain`.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn start_with(
        self,
        tell: impl Fn(&Stray) + Send + Sync + 'static,
        complain: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<RunningReplayer> {
        let scripts = scripts(&self.log);
        if scripts.is_empty() {
            let kind = io::ErrorKind::InvalidInput;
            return Err(io::Error::new(kind, "the log has no connection"));
        }
        let listener = match &self.listen {
            Some(address) => Listener::at(address)?,
            None => Listener::anywhere()?,
        };
        let address = listener.address().clone();
        let schema = self.schema.or_else(|| recorded_schema(&scripts));
        let shared = Arc::new(Shared {
            parts: schema.map(|told| Parts {
                told,
                known: Mutex::default(),
            }),
            scripts: scripts.clone(),
            strays: Mutex::default(),
            tell: Box::new(tell),
        });
        let n_scripts = scripts.len();
        let players = Arc::clone(&shared);
        let engage = move |n: usize| {
            let script = scripts.get(n).cloned().unwrap_or_default();
            Ok(Engaged {
                server: None,
                policy: Box::new(Player::new(Arc::clone(&players), script)),
            })
        };
        let serving = Serving::start(listener, Some(n_scripts), engage, complain)?;
        Ok(RunningReplayer {
            address,
            serving,
            shared,
        })
    }
}

/// What the server told of itself in the log.
fn recorded_schema(scripts: &[Script]) -> Option<Vec<u8>> {
    let message = r#"{"execute": "query-qmp-schema"}"#;
    let message: Value = serde_json::from_str(message).ok()?;
    let asked = Asked::of(&message, Vec::new())?;
    let mut answers = scripts.iter().filter_map(|it| it.answer_like(&asked));
    let told = answers.find_map(|answer| answer.get("return"))?;
    let told = told.to_string().into_bytes();
    // What is cut out or masked is no schema.
    Part::read(&told, "").is_ok().then_some(told)
}

/// A server that replays. Dropping it ends all connections.
pub struct RunningReplayer {
    address: Address,
    serving: Serving,
    shared: Arc<Shared>,
}

impl RunningReplayer {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many clients it serves: as many as the log has connections.
    #[must_use]
    pub fn n_clients(&self) -> usize {
        self.shared.scripts.len()
    }

    /// Waits until as many clients have come as the log has connections, and are gone; where they strayed.
    #[must_use]
    pub fn wait(self) -> Vec<Stray> {
        self.serving.wait();
        self.shared.take_strays()
    }

    /// Ends all connections; where clients strayed.
    #[must_use]
    pub fn finish(self) -> Vec<Stray> {
        self.serving.stop();
        self.shared.take_strays()
    }
}

/// What the players of a log share.
struct Shared {
    scripts: Vec<Script>,
    parts: Option<Parts>,
    strays: Mutex<Vec<Stray>>,
    tell: Box<dyn Fn(&Stray) + Send + Sync>,
}

/// A schema, of which each command's part is read once.
struct Parts {
    told: Vec<u8>,
    known: Mutex<HashMap<String, Arc<Part>>>,
}

impl Shared {
    fn stray(&self, stray: Stray) {
        (self.tell)(&stray);
        lock(&self.strays).push(stray);
    }

    fn take_strays(&self) -> Vec<Stray> {
        std::mem::take(&mut lock(&self.strays))
    }

    fn answer_like(&self, asked: &Asked) -> Option<Value> {
        let mut answers = self.scripts.iter().filter_map(|it| it.answer_like(asked));
        answers.next().cloned()
    }

    /// Why the schema does not accept a command, in QEMU's words.
    fn misfit(&self, message: &Value) -> Option<String> {
        let asked = Asked::of(message, Vec::new()).filter(|it| !it.is_negotiation())?;
        let parts = self.parts.as_ref()?;
        let part = parts.of(&asked.command)?;
        part.check_message(message).err()
    }
}

impl Parts {
    fn of(&self, command: &str) -> Option<Arc<Part>> {
        let mut known = lock(&self.known);
        if let Some(part) = known.get(command) {
            return Some(Arc::clone(part));
        }
        let part = Arc::new(Part::read(&self.told, command).ok()?);
        known.insert(command.to_owned(), Arc::clone(&part));
        Some(part)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
