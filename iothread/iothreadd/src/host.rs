//! What every part of the server stands on.

use std::sync::Arc;

use iothread::{IoThread, MainContext, OnMain};
use qapi_runtime::Error;

use crate::block::Blocks;
use crate::budgets::Budgets;
use crate::chardev::Chardevs;
use crate::events::Events;
use crate::qom::Tree;
use crate::task;
use crate::threads::Threads;
use crate::yank::Yanks;

/// The main loop, the threads, nodes and character devices, and the ways to clients: what devices, exports, objects and
/// monitors are made with. It knows none of these.
pub(crate) struct Host {
    pub(crate) main: MainContext,
    pub(crate) threads: Threads,
    pub(crate) blocks: Blocks,
    pub(crate) chardevs: Arc<Chardevs>,
    pub(crate) events: Events,
    pub(crate) yanks: Yanks,
    pub(crate) budgets: Budgets,
    pub(crate) tree: Tree,
}

impl Host {
    /// For commands: the main loop is where they run, unless they are among those that run with their session.
    ///
    /// # Errors
    ///
    /// This is another thread.
    pub(crate) fn on_main(&self) -> Result<OnMain<'_>, Error> {
        task::here(&self.main)
    }

    /// The IOThread that a property links to.
    ///
    /// # Errors
    ///
    /// In QEMU's words; an object of another type is told apart from one that does not exist.
    pub(crate) fn linked_iothread(&self, link: &str) -> Result<IoThread, Error> {
        let thread = self.threads.find(link);
        thread.ok_or_else(|| match self.tree.canonical_path(link) {
            Ok(_) => Error::generic("Invalid parameter type for 'iothread', expected: iothread"),
            Err(_) => Error::device_not_found(format!("Device '{link}' not found")),
        })
    }
}
