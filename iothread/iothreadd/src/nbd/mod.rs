//! The NBD server.
//!
//! - `handshake`, `haggling`: the haggling, without I/O; `negotiation` does it for one connection, on the main loop.
//! - `exchange`: requests and replies, without I/O, with `request` and `reply` as its two directions; `transmission`
//!   carries them out for one connection, on an IOThread of its export.
//! - `export`: what is exported; `offer`: what clients are told of it, and choose.
//! - `protocol`: the numbers.

mod clients;
mod exchange;
mod export;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod haggling;
mod handshake;
mod negotiation;
mod offer;
mod places;
mod protocol;
mod reply;
mod request;
mod transmission;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iothread::OnMain;
use qapi_runtime::Error;

use self::clients::Clients;
use self::export::NbdExport;
use self::offer::{Exported as _, Offer as _, Offers};
use self::protocol::MAX_STRING;
use crate::export::{Common, Export, Prepared};
use crate::host::Host;
use crate::net::descriptors::SessionDescriptors;
use crate::net::sockets::{listen_at, look_up, modern};
use crate::qapi::NbdServerOptionsLegacy;
use crate::sync::{Level, Mutex};

/// How many seconds the haggling may take unless told otherwise.
const HANDSHAKE_SECONDS: u32 = 10;

/// How many clients there may be unless told otherwise.
const MAX_CONNECTIONS: u32 = 100;

/// The server, which may be running.
pub(crate) struct NbdServer(Mutex<Option<Running>>);

impl Default for NbdServer {
    fn default() -> Self {
        Self(Mutex::at(Level::List, None))
    }
}

struct Running {
    offers: Arc<Offers<NbdExport>>,
    clients: Arc<Clients>,
}

impl NbdServer {
    /// The last part of `nbd-server-start`; the addresses of the host have been found.
    fn start(
        &self,
        main: OnMain<'_>,
        host: &Host,
        descriptors: &SessionDescriptors,
        options: NbdServerOptionsLegacy,
        found: Option<Vec<SocketAddr>>,
    ) -> Result<(), Error> {
        self.check_stopped()?;
        let listeners = listen_at(&modern(options.addr), found, descriptors)?;
        let max_connections = options.max_connections.unwrap_or(MAX_CONNECTIONS);
        let offers = Arc::new(Offers::new(max_connections != 1));
        let seconds = options.handshake_max_seconds.unwrap_or(HANDSHAKE_SECONDS);
        let limit = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let budget = host.budgets.nbd();
        let clients = Clients::new(
            &host.main,
            listeners,
            &offers,
            budget,
            max_connections,
            limit,
        );
        clients
            .listen(main)
            .map_err(|error| Error::generic(format!("Failed to listen on socket: {error}")))?;
        *self.0.lock() = Some(Running { offers, clients });
        Ok(())
    }

    /// Checks that it can be started.
    fn check_stopped(&self) -> Result<(), Error> {
        match self.is_running() {
            true => Err(Error::generic("NBD server already running")),
            false => Ok(()),
        }
    }

    /// `nbd-server-start`, also that of people, while the main loop goes on.
    pub(crate) async fn find_and_start(
        &self,
        host: &Host,
        descriptors: &SessionDescriptors,
        options: NbdServerOptionsLegacy,
    ) -> Result<(), Error> {
        self.check_stopped()?;
        let found = look_up(&modern(options.addr.clone()), &host.main).await?;
        self.start(host.on_main()?, host, descriptors, options, found)
    }

    /// Whether it has been started.
    pub(crate) fn is_running(&self) -> bool {
        self.0.lock().is_some()
    }

    /// `nbd-server-stop`, except what it does to exports.
    pub(crate) fn stop(&self, main: OnMain<'_>) -> Result<(), Error> {
        let stopped = self.0.lock().take();
        let Some(Running { clients, .. }) = stopped else {
            return Err(Error::generic("NBD server not running"));
        };
        clients.stop(main);
        Ok(())
    }

    /// Checks that an export could be offered under a name.
    pub(crate) fn prepare(
        &self,
        _: OnMain<'_>,
        name: &str,
        description: Option<&str>,
    ) -> Result<Box<dyn Prepared>, Error> {
        let running = self.0.lock();
        let Some(Running { offers, .. }) = &*running else {
            return Err(Error::generic("NBD server not running"));
        };
        if name.len() > MAX_STRING {
            return Err(Error::generic(format!("export name '{name}' too long")));
        }
        if let Some(description) = description.filter(|it| it.len() > MAX_STRING) {
            return Err(Error::generic(format!(
                "description '{description}' too long"
            )));
        }
        if offers.exports().iter().any(|it| it.name() == name) {
            return Err(Error::generic(format!(
                "NBD server already has export named '{name}'"
            )));
        }
        Ok(Box::new(NewOffer {
            offers: Arc::clone(offers),
            name: name.to_owned(),
            description: description.map(str::to_owned),
        }))
    }
}

/// An export that can be offered. Only the main loop makes offers, so it stays possible until it returns.
struct NewOffer {
    offers: Arc<Offers<NbdExport>>,
    name: String,
    description: Option<String>,
}

impl Prepared for NewOffer {
    fn make(
        self: Box<Self>,
        _: OnMain<'_>,
        _: &Host,
        common: &Arc<Common>,
    ) -> Result<Arc<dyn Export>, Error> {
        let Self {
            offers,
            name,
            description,
        } = *self;
        let export = NbdExport::new(Arc::clone(common), name, description, &offers);
        let export = Arc::new(export);
        offers.add(&export);
        Ok(export)
    }
}
