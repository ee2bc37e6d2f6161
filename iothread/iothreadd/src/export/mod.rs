//! Block exports: nodes made available to other processes.
//!
//! The registry here knows all of them, whatever their kind, and does what they have in common: taking the IOThreads and
//! the node, and giving them back. A kind implements [`Export`]. A new export is checked in full before it takes
//! anything ([`Plan`](common::Plan)), because taking moves nodes, and a command that fails must leave no trace.

mod common;

use std::sync::Arc;

use qapi_runtime::Error;

use self::common::Plan;
pub(crate) use self::common::{Common, ContextRef};
use crate::net::descriptors::SessionDescriptors;
use crate::qapi::{
    BlockExportDeleted, BlockExportInfo, BlockExportOptions, BlockExportOptionsType,
    BlockExportQueueInfo, BlockExportRemoveMode, BlockExportType,
};
use crate::server::Server;
use crate::sync::Mutex;
use crate::vhost_user_blk;

/// What every kind of export can do. All of it is called on the main loop.
pub(crate) trait Export: Send + Sync {
    /// What it has in common with others.
    fn common(&self) -> &Arc<Common>;

    /// The kind.
    fn export_type(&self) -> BlockExportType;

    /// Whether anybody uses it.
    fn has_clients(&self) -> bool;

    /// Disconnects whoever uses it, for good. Afterwards it starts no requests and has no contexts.
    fn close(&self);

    /// Goes on at the contexts that [`Common::next_context`] gives from now on; it must not keep any other.
    fn follow(&self);

    /// What its queues have done, if it has any.
    fn queues(&self) -> Vec<BlockExportQueueInfo> {
        Vec::new()
    }
}

fn not_found(id: &str) -> Error {
    Error::generic(format!("Export '{id}' is not found"))
}

/// All exports.
#[derive(Default)]
pub(crate) struct Exports(Mutex<Vec<Arc<dyn Export>>>);

impl Exports {
    /// `block-export-add`
    pub(crate) fn add(
        &self,
        server: &Arc<Server>,
        descriptors: &SessionDescriptors,
        options: BlockExportOptions,
    ) -> Result<(), Error> {
        if !crate::objects::is_identifier(&options.id) {
            return Err(Error::generic("Invalid block export id"));
        }
        if self.find(&options.id).is_some() {
            return Err(Error::generic(format!(
                "Block export id '{}' is already in use",
                options.id
            )));
        }
        let plan = Plan::new(server, &options)?;
        // What only the kind can tell is told before anything is taken.
        match &options.r#type {
            BlockExportOptionsType::Nbd(nbd) => {
                let name = nbd.name.as_ref().unwrap_or(&options.node_name);
                let offer = server.nbd().check_offer(name, nbd.description.as_deref())?;
                let common = Common::attach(server, plan)?;
                self.insert(&common, offer.take(&common));
            }
            BlockExportOptionsType::VhostUserBlk(device) => {
                let device = vhost_user_blk::prepare(descriptors, device)?;
                let common = Common::attach(server, plan)?;
                let export = device.add_export(server, &common);
                self.insert(
                    &common,
                    export.inspect_err(|_| common.undo(server.blocks()))?,
                );
            }
            BlockExportOptionsType::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'type' does not accept value '{name}'"
                )));
            }
        }
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

    /// `block-export-del`
    pub(crate) fn delete(
        &self,
        server: &Server,
        id: &str,
        mode: &BlockExportRemoveMode,
    ) -> Result<(), Error> {
        let export = self.find(id).ok_or_else(|| not_found(id))?;
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
        self.remove(server, &export);
        Ok(())
    }

    /// Removes an export; when the event is sent, all that it had is given back.
    fn remove(&self, server: &Server, export: &Arc<dyn Export>) {
        let common = export.common();
        if common.begin_shutdown() {
            return;
        }
        export.close();
        common.detach(server.blocks());
        self.0.lock().retain(|it| !Arc::ptr_eq(it, export));
        server.events().emit(&BlockExportDeleted {
            id: common.id().to_owned(),
        });
    }

    /// Removes all exports of a kind, the newest first.
    pub(crate) fn remove_all(&self, server: &Server, kind: Option<&BlockExportType>) {
        let is_meant =
            |export: &&Arc<dyn Export>| kind.is_none_or(|it| *it == export.export_type());
        let mut exports: Vec<Arc<dyn Export>> =
            self.0.lock().iter().filter(is_meant).cloned().collect();
        while let Some(export) = exports.pop() {
            self.remove(server, &export);
        }
    }

    /// `x-query-block-export-queues`
    pub(crate) fn queues(&self, id: &str) -> Result<Vec<BlockExportQueueInfo>, Error> {
        let export = self.find(id).ok_or_else(|| not_found(id))?;
        Ok(export.queues())
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
