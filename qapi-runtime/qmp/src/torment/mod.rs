//! A server that behaves as no server should.
//!
//! It stands between clients and a real server, or one that replays a log, and does to what that one says what its [`Profile`] is.
//!
//! ```
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::mock::Mock;
//! use qapi_runtime::client::{CallOptions, ClientErrorKind, ConnectOptions};
//! use qapi_runtime::{Object, Value};
//! use qmp::torment::{Profile, Torment};
//!
//! let nothing = Value::Object(Object::new());
//! let server = Mock::new().expect("stop", None).reply(nothing).start()?;
//! let worse = Torment::new(server.address(), Profile::DuplicateAfterRetry).start()?;
//! let client = Client::connect(ConnectOptions::new(worse.address().clone()))?;
//! let lost = client.execute_raw("stop", None, CallOptions::new()).unwrap_err();
//! assert!(matches!(lost.kind(), ClientErrorKind::Closed));
//! assert_eq!(worse.n_heard("stop"), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod policy;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use qapi_runtime::address::Address;

use self::policy::Tormentor;
use crate::system::{Bell, open};
use crate::wire::listen::Listener;
use crate::wire::serve::{Engaged, Serving};

/// How long it may take to connect to a server on another machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server does to its clients. `CONFORMANCE.md` says what is right for a client then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Replies come late.
    LateReplies,
    /// An event comes before the greeting.
    EventBeforeGreeting,
    /// An event comes between a command and its reply.
    EventBeforeReply,
    /// Of every second connection, the first: closed in place of the first reply.
    DuplicateAfterRetry,
    /// Of every second connection, the first: nothing is said. The second: nothing after the negotiation.
    Silence,
    /// Each byte comes by itself.
    Trickle,
    /// The first reply has 10 MiB: a text is as long as that, anything else has as many blanks in it.
    LargeReply,
    /// Of every second connection, the first: closed in the middle of the first reply.
    EndInTheMiddle,
    /// The negotiation is answered with an error.
    RefusedNegotiation,
    /// Of two replies the second comes first, if it is there within a second.
    IdsReordered,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::LateReplies,
        Self::EventBeforeGreeting,
        Self::EventBeforeReply,
        Self::DuplicateAfterRetry,
        Self::Silence,
        Self::Trickle,
        Self::LargeReply,
        Self::EndInTheMiddle,
        Self::RefusedNegotiation,
        Self::IdsReordered,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LateReplies => "late-replies",
            Self::EventBeforeGreeting => "event-before-greeting",
            Self::EventBeforeReply => "event-before-reply",
            Self::DuplicateAfterRetry => "duplicate-after-retry",
            Self::Silence => "silence",
            Self::Trickle => "trickle",
            Self::LargeReply => "large-reply",
            Self::EndInTheMiddle => "end-in-the-middle",
            Self::RefusedNegotiation => "refused-negotiation",
            Self::IdsReordered => "ids-reordered",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProfile(String);

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Profile::ALL.iter().map(|it| it.name()).collect();
        write!(f, "'{}' is no profile: {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownProfile {}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

/// How late replies are unless told otherwise.
const DELAY: Duration = Duration::from_secs(2);

/// A server that torments its clients, before it is started.
#[derive(Debug)]
pub struct Torment {
    server: Address,
    profile: Profile,
    listen: Option<Address>,
    delay: Duration,
    is_gated: bool,
    most: Option<usize>,
}

impl Torment {
    /// In front of the server at this address.
    #[must_use]
    pub fn new(server: Address, profile: Profile) -> Self {
        Self {
            server,
            profile,
            listen: None,
            delay: DELAY,
            is_gated: false,
            most: None,
        }
    }

    /// Listens there. Otherwise at a name that nobody else has.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.listen = Some(address);
        self
    }

    /// How late replies are; 2 s unless told otherwise.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Ends after so many clients.
    #[must_use]
    pub fn clients(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }

    /// Replies are late until [`RunningTorment::release`], however long that takes.
    #[must_use]
    pub fn until_released(mut self) -> Self {
        self.is_gated = true;
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn start(self) -> io::Result<RunningTorment> {
        self.start_with(|_| {})
    }

    /// As [`Self::start`]; what cannot be done is told to `complain`.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn start_with(
        self,
        complain: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<RunningTorment> {
        let listener = match &self.listen {
            Some(address) => Listener::at(address)?,
            None => Listener::anywhere()?,
        };
        let address = listener.address().clone();
        let shared = Arc::new(Shared {
            profile: self.profile,
            delay: self.delay,
            gate: self.is_gated.then(Gate::new).transpose()?,
            heard: Mutex::default(),
        });
        let (server, tormentors) = (self.server, Arc::clone(&shared));
        let engage = move |n: usize| {
            let descriptor = open(&server, PATIENCE).map_err(|error| {
                let text = format!("cannot connect to '{server}': {error}");
                io::Error::new(error.kind(), text)
            })?;
            Ok(Engaged {
                server: Some(descriptor),
                policy: Box::new(Tormentor::new(Arc::clone(&tormentors), n)),
            })
        };
        let serving = Serving::start(listener, self.most, engage, complain)?;
        Ok(RunningTorment {
            address,
            serving,
            shared,
        })
    }
}

/// A server that torments its clients. Dropping it ends all connections.
pub struct RunningTorment {
    address: Address,
    serving: Serving,
    shared: Arc<Shared>,
}

impl RunningTorment {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends what is late, and is late no more.
    pub fn release(&self) {
        if let Some(gate) = &self.shared.gate {
            gate.is_open.store(true, Ordering::Release);
            gate.bell.ring();
        }
    }

    /// How often clients have sent this command.
    #[must_use]
    pub fn n_heard(&self, command: &str) -> usize {
        self.shared.heard().get(command).copied().unwrap_or(0)
    }

    /// Waits until as many clients have come as were wanted, and are gone; without a number, for ever.
    pub fn wait(self) {
        self.serving.wait();
    }
}

/// What the connections of a server share.
struct Shared {
    profile: Profile,
    delay: Duration,
    gate: Option<Gate>,
    heard: Mutex<BTreeMap<String, usize>>,
}

/// What late replies wait for.
struct Gate {
    is_open: AtomicBool,
    bell: Bell,
}

impl Gate {
    fn new() -> io::Result<Self> {
        Ok(Self {
            is_open: AtomicBool::new(false),
            bell: Bell::new()?,
        })
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether replies wait to be released.
    fn is_held(&self) -> bool {
        let gate = self.gate.as_ref();
        gate.is_some_and(|gate| !gate.is_open.load(Ordering::Acquire))
    }
}
