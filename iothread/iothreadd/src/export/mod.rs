//! Block exports: nodes made available to other processes.
//!
//! The registry here knows all of them, whatever their kind, and does what they have in common: taking the IOThreads and
//! the node, and giving them back. A kind implements [`Export`]. A new export is checked in full before it takes
//! anything ([`Plan`](common::Plan)), because taking moves nodes, and a command that fails must leave no trace.

mod common;

use std::sync::Arc;
use std::time::Duration;

use iothread::{Clock, OnMain};
use qapi_runtime::Error;

use self::common::Plan;
pub(crate) use self::common::{Common, go_over};
use crate::block::Totals;
use crate::finally::Finally;
use crate::host::Host;
use crate::ident::is_identifier;
use crate::qapi::{
    BlockExportDeleted, BlockExportInfo, BlockExportOptions, BlockExportQueueInfo,
    BlockExportRemoveMode, BlockExportType,
};
use crate::report::report;
use crate::sync::Mutex;

/// What every kind of export can do.
pub(crate) trait Export: Send + Sync {
    /// What it has in common with others.
    fn common(&self) -> &Arc<Common>;

    /// The kind.
    fn export_type(&self) -> BlockExportType;

    /// Whether anybody uses it.
    fn has_clients(&self) -> bool;

    /// Begins to disconnect its clients, for good: no request is taken any more, and those under way are answered
    /// first. Keeps `closed` until it starts no requests any more and has no contexts.
    fn close(&self, main: OnMain<'_>, closed: &Finally);

    /// Waits for nothing of what is under way in an export that is being closed: that has failed.
    fn give_up(&self);

    /// Goes on at the contexts that [`Common::next_context`] gives from now on; it must not keep any other. Keeps `moved`
    /// until it is there.
    fn follow(&self, main: OnMain<'_>, moved: &Finally);

    /// Nodes have been given other sizes, perhaps that of the export, too.
    fn size_changed(&self) {}

    /// What its queues have done, if it has any.
    fn queues(&self) -> Vec<BlockExportQueueInfo> {
        Vec::new()
    }
}

/// What a kind of export has checked and got ready, before the node is taken.
pub(crate) trait Prepared {
    /// Makes the export. After an error everything is as before.
    fn make(
        self: Box<Self>,
        main: OnMain<'_>,
        host: &Host,
        common: &Arc<Common>,
    ) -> Result<Arc<dyn Export>, Error>;
}

/// What was asked of an export.
pub(crate) struct ExportLoad {
    pub(crate) id: String,
    pub(crate) r#type: BlockExportType,
    pub(crate) totals: Totals,
}

/// How long an export that is removed waits for its requests. They are given a long time: a disk that is slow is more
/// likely than one that is stuck, and only the guest waits for this.
const REMOVAL_LIMIT: Duration = Duration::from_secs(30);

/// How long the end of the server waits for them: those who ask for it use force before long.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(10);

fn not_found(id: &str) -> Error {
    Error::generic(format!("Export '{id}' is not found"))
}

/// All exports.
#[derive(Default)]
pub(crate) struct Exports(Mutex<Vec<Arc<dyn Export>>>);

impl Exports {
    /// `block-export-add`: `prepare` does what only the kind of export can do, before anything is taken. Keeps `moved` until
    /// the node is where it is to be, or after an error was before.
    pub(crate) fn add<'o>(
        &self,
        main: OnMain<'_>,
        host: &Host,
        options: &'o BlockExportOptions,
        prepare: impl FnOnce(&'o BlockExportOptions) -> Result<Box<dyn Prepared>, Error>,
        moved: &Finally,
    ) -> Result<(), Error> {
        if !is_identifier(&options.id) {
            return Err(Error::generic("Invalid block export id"));
        }
        if self.find(&options.id).is_some() {
            return Err(Error::generic(format!(
                "Block export id '{}' is already in use",
                options.id
            )));
        }
        let plan = Plan::new(host, options)?;
        let prepared = prepare(options)?;
        let common = Common::attach(main, host, plan, moved)?;
        let export = prepared.make(main, host, &common);
        self.insert(
            &common,
            export.inspect_err(|_| common.undo(main, &host.blocks, moved))?,
        );
        Ok(())
    }

    fn insert(&self, common: &Common, export: Arc<dyn Export>) {
        common.set_export(&export);
        self.0.lock().push(export);
    }

    fn find(&self, id: &str) -> Option<Arc<dyn Export>> {
        let exports = self.0.lock();
        exports.iter().find(|it| it.common().id() == id).cloned()
    }

    /// `block-export-del`. Keeps `gone` until the export is gone, unless clients or requests are in the way.
    pub(crate) fn delete(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Arc<Host>,
        id: &str,
        mode: &BlockExportRemoveMode,
        gone: &Finally,
    ) -> Result<(), Error> {
        let export = self.find(id).ok_or_else(|| not_found(id))?;
        if export.common().is_shutting_down() {
            return Err(Error::generic(format!(
                "Export '{id}' is already shutting down"
            )));
        }
        match mode {
            BlockExportRemoveMode::Hard => {}
            BlockExportRemoveMode::Safe if !export.has_clients() => {}
            BlockExportRemoveMode::Safe => {
                return Err(Error::generic(format!("export '{id}' still in use")));
            }
            BlockExportRemoveMode::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'mode' does not accept value '{name}'"
                )));
            }
        }
        self.remove(main, host, &export, REMOVAL_LIMIT);
        export.common().keep_until_gone(gone);
        Ok(())
    }

    /// Removes an export. Where it has requests under way that is over later, after `limit` at the latest.
    fn remove(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Arc<Host>,
        export: &Arc<dyn Export>,
        limit: Duration,
    ) {
        if export.common().begin_shutdown() {
            return;
        }
        give_up_after(host, export, limit);
        let (exports, ending, closing) = (Arc::clone(self), Arc::clone(host), Arc::clone(export));
        let closed = Finally::new(&host.main, move |main| {
            exports.drain(main, &ending, &closing)
        });
        export.close(main, &closed);
        closed.or_now(main);
    }

    /// Waits, without keeping the main loop from anything, until the node does nothing for an export that is closed.
    fn drain(self: &Arc<Self>, main: OnMain<'_>, host: &Arc<Host>, export: &Arc<dyn Export>) {
        let common = export.common();
        common.end_patience();
        let (exports, ending, closing) = (Arc::clone(self), Arc::clone(host), Arc::clone(export));
        let idle = Finally::new(&host.main, move |main| {
            exports.finish(main, &ending, &closing)
        });
        common.backend().keep_until_idle(&idle);
        idle.or_now(main);
    }

    /// An export is closed, and the node does nothing for it any more; when the event is sent, all that it had is given back.
    fn finish(self: &Arc<Self>, main: OnMain<'_>, host: &Arc<Host>, export: &Arc<dyn Export>) {
        let (exports, ending, closing) = (Arc::clone(self), Arc::clone(host), Arc::clone(export));
        let gone = Finally::new(&host.main, move |_| {
            exports.0.lock().retain(|it| !Arc::ptr_eq(it, &closing));
            let common = closing.common();
            ending.events.emit(&BlockExportDeleted {
                id: common.id().to_owned(),
            });
            common.set_gone();
        });
        export.common().detach(main, &host.blocks, &gone);
        gone.or_now(main);
    }

    /// Removes all exports of a kind, the newest first. Keeps `gone` until those are gone that have neither clients nor
    /// requests.
    pub(crate) fn remove_all(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Arc<Host>,
        kind: &BlockExportType,
        gone: &Finally,
    ) {
        let removed = self.remove_those(main, host, REMOVAL_LIMIT, |it| it.export_type() == *kind);
        for export in removed {
            export.common().keep_until_gone(gone);
        }
    }

    /// Removes all exports, because the server ends.
    pub(crate) fn end(self: &Arc<Self>, main: OnMain<'_>, host: &Arc<Host>) {
        let mut going = self.0.lock().clone();
        going.retain(|export| export.common().is_shutting_down());
        // The patience with those is shorter now.
        for export in &going {
            give_up_after(host, export, END_LIMIT);
        }
        self.remove_those(main, host, END_LIMIT, |_| true);
    }

    fn remove_those(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Arc<Host>,
        limit: Duration,
        is_meant: impl Fn(&dyn Export) -> bool,
    ) -> Vec<Arc<dyn Export>> {
        let mut exports: Vec<Arc<dyn Export>> = self.0.lock().clone();
        exports.retain(|export| is_meant(&**export));
        for export in exports.iter().rev() {
            self.remove(main, host, export, limit);
        }
        exports
    }

    /// Lets those tell their clients whose node has been given another size.
    pub(crate) fn sizes_changed(&self) {
        let exports = self.0.lock().clone();
        exports.iter().for_each(|export| export.size_changed());
    }

    /// Whether there is no export, not even one that is on its way out.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Waits for no request any more that keeps an export.
    pub(crate) fn give_up(&self) {
        let exports = self.0.lock().clone();
        let going = exports.iter().filter(|it| it.common().is_shutting_down());
        going.for_each(|export| export.give_up());
    }

    /// What keeps exports that are going: for people.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let exports = self.0.lock().clone();
        let describe = |export: &Arc<dyn Export>| {
            let common = export.common();
            format!(
                "export '{}' waits for block node '{}'",
                common.id(),
                common.node_name()
            )
        };
        exports.iter().map(describe).collect()
    }

    /// `x-query-block-export-queues`
    pub(crate) fn queues(&self, id: &str) -> Result<Vec<BlockExportQueueInfo>, Error> {
        let export = self.find(id).ok_or_else(|| not_found(id))?;
        Ok(export.queues())
    }

    /// What was asked of at most so many exports, the oldest of them, and how many others there are.
    pub(crate) fn loads(&self, most: usize) -> (Vec<ExportLoad>, usize) {
        let exports = self.0.lock();
        let load = |export: &Arc<dyn Export>| ExportLoad {
            id: export.common().id().to_owned(),
            r#type: export.export_type(),
            totals: export.common().backend().totals(),
        };
        let loads = exports.iter().take(most).map(load).collect();
        (loads, exports.len().saturating_sub(most))
    }

    /// `query-block-exports`: the newest first, as in QEMU.
    pub(crate) fn query(&self) -> Vec<BlockExportInfo> {
        let exports = self.0.lock();
        let info = |export: &Arc<dyn Export>| BlockExportInfo {
            id: export.common().id().to_owned(),
            r#type: export.export_type(),
            node_name: export.common().node_name().to_owned(),
            shutting_down: export.common().is_shutting_down(),
        };
        exports.iter().rev().map(info).collect()
    }
}

/// Lets an export that is being closed wait no longer than this.
fn give_up_after(host: &Host, export: &Arc<dyn Export>, limit: Duration) {
    let given_up = Arc::downgrade(export);
    let timer = host.main.timer(Clock::Monotonic, move |_| {
        if let Some(export) = given_up.upgrade() {
            report(&format!(
                "export '{}': requests did not end within {} s, and have failed",
                export.common().id(),
                limit.as_secs()
            ));
            export.give_up();
        }
    });
    match timer {
        Ok(timer) => {
            timer.arm_after(limit);
            export.common().keep_until_detached(timer);
        }
        // Only the end of the main loop can be in the way.
        Err(_) => export.give_up(),
    }
}
