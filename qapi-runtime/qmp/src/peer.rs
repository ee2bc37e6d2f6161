//! The server, and what it tells of itself.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use qapi_gen::diagnostic::LintLevels;
use qapi_gen::introspection::Introspection;
use qapi_gen::ir::Schema;
use qapi_runtime::Value;
use qapi_runtime::client::blocking::Client;
use qapi_runtime::client::{CallOptions, ClientError, ClientErrorKind, ConnectOptions, Dialect};

use crate::arguments::{self, Written};
use crate::cache::Entry;
use crate::check::Part;
use crate::failure::Failure;
use crate::options::Options;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Connects. While QEMU parts from another client it accepts a connection, and closes it without a greeting: nothing was sent
/// then, so there is no harm in another attempt.
fn connect(options: ConnectOptions, retry: Duration) -> Result<Client, ClientError> {
    let deadline = Instant::now() + retry;
    loop {
        match Client::connect(options.clone()) {
            Err(error)
                if matches!(error.kind(), ClientErrorKind::Closed) && Instant::now() < deadline =>
            {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// A server that is connected.
pub(crate) struct Peer {
    pub(crate) client: Client,
    cached: Option<Entry>,
    /// What the server told in this run; `None` if it does not tell.
    told: OnceLock<Option<Vec<u8>>>,
    is_checked: bool,
}

impl Peer {
    pub(crate) fn connect(options: &Options) -> Result<Self, Failure> {
        let connecting = ConnectOptions::new(options.address.clone())
            .handshake_timeout(options.connect_timeout)
            .wait_for_socket(options.retry)
            .oob(options.oob)
            .dialect(match options.agent {
                true => Dialect::GuestAgent,
                false => Dialect::Qmp,
            });
        let connecting = match options.patience() {
            Some(patience) => connecting.timeout(patience),
            None => connecting,
        };
        let client = connect(connecting, options.retry).map_err(Failure::Client)?;
        let cached = client.greeting().and_then(|greeting| Entry::of(&greeting));
        Ok(Self {
            client,
            cached,
            told: OnceLock::new(),
            is_checked: !options.no_check && !options.agent,
        })
    }

    /// The arguments of a command, by the server's schema, and whether they fit it.
    pub(crate) fn arguments(
        &self,
        command: &str,
        written: Written,
        oob: bool,
    ) -> Result<Value, Failure> {
        if !self.is_checked {
            return Ok(arguments::by_looks(written));
        }
        // What was kept may be of another server: only what it accepts counts.
        let kept = self.cached.as_ref().and_then(Entry::read);
        let kept = kept.and_then(|told| Part::read(&told, command).ok());
        if let Some(part) = kept {
            let arguments = part.arguments(written.clone(), command);
            if part.check(command, &arguments, oob).is_ok() {
                return Ok(arguments);
            }
        }
        let Some(told) = self.told() else {
            return Ok(arguments::by_looks(written));
        };
        let in_schema = |error| Failure::Usage(format!("the server's schema: {error}"));
        let part = Part::read(told, command).map_err(in_schema)?;
        let arguments = part.arguments(written, command);
        match part.check(command, &arguments, oob) {
            Ok(()) => Ok(arguments),
            Err(error) => Err(Failure::Usage(format!(
                "{command}: {error} (by the server's schema; nothing was sent)"
            ))),
        }
    }

    /// All that the server tells of itself now; `None` if it does not, or if nobody can read it.
    pub(crate) fn schema(&self) -> Option<Schema> {
        let told = self.is_checked.then(|| self.told())??;
        let told = Introspection::read(told).ok()?;
        let compiled = told.compile("query-qmp-schema", LintLevels::allow_all());
        Some(compiled.ok()?.into_schema())
    }

    /// What the server tells of itself now, which is kept for later runs.
    fn told(&self) -> Option<&[u8]> {
        let told = self.told.get_or_init(|| {
            let answer = self
                .client
                .execute_raw("query-qmp-schema", None, CallOptions::new());
            let told = answer.ok()?.to_string().into_bytes();
            if let Some(entry) = &self.cached {
                entry.write(&told);
            }
            Some(told)
        });
        told.as_deref()
    }

    /// The server has refused what its schema allowed: if that was kept, it may be another one's.
    pub(crate) fn was_refused(&self) {
        if let Some(entry) = self.cached.as_ref().filter(|_| self.told.get().is_none()) {
            entry.remove();
        }
    }
}
