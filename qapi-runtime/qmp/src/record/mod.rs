//! A proxy that writes down what it passes on.
//!
//! Bytes and descriptors go on as they come, and only then is looked for the messages in them. The log has the form that
//! [`qapi_runtime::transcript`] describes, a line a message.
//!
//! ```
//! use qapi_runtime::Value;
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::mock::Mock;
//! use qapi_runtime::client::{CallOptions, ConnectOptions, Transcript};
//! use qmp::record::Recorder;
//!
//! let server = Mock::new().expect("query-name", None).reply(Value::from("guest")).start()?;
//! let file = tempfile::NamedTempFile::new()?;
//! let recorder = Recorder::new(server.address()).mask("name")?.start(file.reopen()?)?;
//! let client = Client::connect(ConnectOptions::new(recorder.address().clone()))?;
//! client.execute_raw("query-name", None, CallOptions::new())?;
//! drop(client);
//! recorder.finish()?;
//! let log = Transcript::parse(&std::fs::read_to_string(file.path())?)?;
//! assert_eq!(log.messages().len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod log;
mod mask;
mod policy;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::Dialect;

use self::log::Log;
use self::mask::Masks;
use self::policy::Recording;
use crate::system::open;
use crate::wire::listen::Listener;
use crate::wire::serve::{Engaged, Serving};

pub use self::mask::MaskError;

/// How long it may take to connect to a server on another machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy in front of a server, before it is started.
#[derive(Debug)]
pub struct Recorder {
    server: Address,
    listen: Option<Address>,
    dialect: Dialect,
    masks: Masks,
    most: Option<usize>,
}

impl Recorder {
    /// A proxy in front of the server at this address.
    #[must_use]
    pub fn new(server: Address) -> Self {
        Self {
            server,
            listen: None,
            dialect: Dialect::Qmp,
            masks: Masks::default(),
            most: None,
        }
    }

    /// Listens there. Otherwise at a name that nobody else has.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.listen = Some(address);
        self
    }

    /// What the server speaks.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Ends after so many clients.
    #[must_use]
    pub fn clients(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }

    /// Writes `"***"` for a secret: `NAME` is a member of any message, `COMMAND.NAME` one of this command's arguments or result,
    /// or of an event; `NAME.NAME` one in another one. A value of any kind is masked as a whole.
    ///
    /// # Errors
    ///
    /// A way that has an empty name.
    pub fn mask(mut self, way: &str) -> Result<Self, MaskError> {
        self.masks.add(way)?;
        Ok(self)
    }

    /// Starts to listen and to write. Each message is written at once and as a whole.
    ///
    /// # Errors
    ///
    /// What the system refuses, and that the log cannot be begun.
    pub fn start(self, log: impl Write + Send + 'static) -> io::Result<RunningRecorder> {
        self.start_with(log, |text| eprintln!("qmp: {text}"))
    }

    /// As [`Self::start`]; what goes wrong with a client or the log is told to `complain`.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn start_with(
        self,
        log: impl Write + Send + 'static,
        complain: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<RunningRecorder> {
        let listener = match &self.listen {
            Some(address) => Listener::at(address)?,
            None => Listener::anywhere()?,
        };
        let address = listener.address().clone();
        let log = Arc::new(Log::begin(Box::new(log))?);
        let masks = Arc::new(self.masks);
        let (server, dialect, shared) = (self.server, self.dialect, Arc::clone(&log));
        let engage = move |_| {
            let recording =
                Recording::new(Arc::clone(&shared), Arc::clone(&masks), &server, dialect);
            match open(&server, PATIENCE) {
                Ok(descriptor) => Ok(Engaged {
                    server: Some(descriptor),
                    policy: Box::new(recording),
                }),
                Err(error) => {
                    recording.is_refused();
                    Err(io::Error::new(
                        error.kind(),
                        format!("cannot connect to '{server}': {error}"),
                    ))
                }
            }
        };
        let serving = Serving::start(listener, self.most, engage, complain)?;
        Ok(RunningRecorder {
            address,
            serving,
            log,
        })
    }
}

/// A proxy that records. Dropping it ends all connections.
pub struct RunningRecorder {
    address: Address,
    serving: Serving,
    log: Arc<Log>,
}

impl RunningRecorder {
    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Ends all connections.
    ///
    /// # Errors
    ///
    /// The log is not complete, since it could not be written.
    pub fn finish(self) -> io::Result<()> {
        self.serving.stop();
        self.log.finish()
    }

    /// Waits until as many clients have come as were wanted, and are gone; without a number, for ever.
    ///
    /// # Errors
    ///
    /// The log is not complete, since it could not be written.
    pub fn wait(self) -> io::Result<()> {
        self.serving.wait();
        self.log.finish()
    }
}
