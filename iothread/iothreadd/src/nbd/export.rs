//! One export over NBD, and its clients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use iothread::OnMain;

use super::offer::{Exported, Offers};
use crate::export::{Common, Export};
use crate::finally::Finally;
use crate::qapi::BlockExportType;
use crate::sync::Mutex;

/// A connection that uses an export.
pub(super) trait Client: Send + Sync {
    /// Begins to disconnect it: what it has asked for so far is still answered. Keeps `closed` until that is done.
    fn finish(self: Arc<Self>, main: OnMain<'_>, closed: &Finally);

    /// It is over, whatever it has under way; on any thread. Nothing of it uses its context afterwards.
    fn end(&self);

    /// Goes where the export is now. Keeps `moved` until it is there.
    fn follow(self: Arc<Self>, main: OnMain<'_>, moved: &Finally);
}

/// An export and the connections that use it.
pub(crate) struct NbdExport {
    common: Arc<Common>,
    name: String,
    description: Option<String>,
    offers: Weak<Offers<Self>>,
    connections: Mutex<HashMap<u64, Arc<dyn Client>>>,
    next_connection: AtomicU64,
}

impl NbdExport {
    pub(super) fn new(
        common: Arc<Common>,
        name: String,
        description: Option<String>,
        offers: &Arc<Offers<Self>>,
    ) -> Self {
        Self {
            common,
            name,
            description,
            offers: Arc::downgrade(offers),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(0),
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a connection.
    pub(super) fn add(&self, _: OnMain<'_>, number: u64, connection: Arc<dyn Client>) {
        self.connections.lock().insert(number, connection);
    }

    /// A connection has ended by itself; on any thread.
    pub(super) fn remove(&self, number: u64) {
        let removed = self.connections.lock().remove(&number);
        drop(removed);
    }

    fn all(&self) -> Vec<Arc<dyn Client>> {
        self.connections.lock().values().cloned().collect()
    }
}

impl Exported for NbdExport {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn size(&self) -> u64 {
        self.common.backend().size()
    }

    fn is_writable(&self) -> bool {
        self.common.is_writable()
    }
}

impl Export for NbdExport {
    fn common(&self) -> &Arc<Common> {
        &self.common
    }

    fn export_type(&self) -> BlockExportType {
        BlockExportType::Nbd
    }

    fn has_clients(&self) -> bool {
        !self.connections.lock().is_empty()
    }

    fn close(&self, main: OnMain<'_>, closed: &Finally) {
        if let Some(offers) = self.offers.upgrade() {
            offers.remove(self);
        }
        // A connection that has ended is not kept here any more: it knows its export.
        for connection in self.all() {
            connection.finish(main, closed);
        }
    }

    fn give_up(&self) {
        for connection in self.all() {
            connection.end();
        }
    }

    fn follow(&self, main: OnMain<'_>, moved: &Finally) {
        for connection in self.all() {
            connection.follow(main, moved);
        }
    }
}
