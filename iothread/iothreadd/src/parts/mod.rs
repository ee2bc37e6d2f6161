//! All that commands act on.
//!
//! - `exports`: a row for each kind of export, and the older commands about exports over NBD.
//! - `tree`: where everything is in the QOM tree.

mod exports;
mod tree;

use std::sync::{Arc, Weak};

use qapi_runtime::Error;

use crate::calls::Calls;
use crate::devices::Devices;
use crate::export::Exports;
use crate::host::Host;
use crate::life::Life;
use crate::nbd::NbdServer;
use crate::net::descriptors::DescriptorSets;
use crate::objects::Objects;
use crate::qapi::{RunState, StatusInfo, VersionInfo};

/// The parts of the server, except the monitors through which commands come.
pub(crate) struct Parts {
    pub(crate) host: Arc<Host>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) devices: Arc<Devices>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) nbd: NbdServer,
    pub(crate) descriptor_sets: DescriptorSets,
    /// What has become of commands.
    pub(crate) calls: Arc<Calls>,
    /// What the server is called, if it has a name.
    pub(crate) name: Option<String>,
    /// What clients are told that this is.
    pub(crate) version: VersionInfo,
    pub(crate) life: Weak<dyn Life>,
}

impl Parts {
    /// `block_resize`: gives a node another size, and tells those who use it. Devices have no names here.
    pub(crate) async fn resize(&self, device: &str, node: &str, size: i64) -> Result<(), Error> {
        let Host { blocks, main, .. } = &*self.host;
        if blocks.is_writable(node).is_none() {
            return Err(Error::generic(format!(
                "Cannot find device='{device}' nor node-name='{node}'"
            )));
        }
        let resized = blocks.resize(main, node, size).await;
        // It may have been cut before the host refused.
        self.exports.sizes_changed();
        resized
    }

    /// `query-status`
    pub(crate) fn status(&self) -> StatusInfo {
        let running = self.life.upgrade().is_some_and(|life| !life.is_ending());
        StatusInfo {
            running,
            status: if running {
                RunState::Running
            } else {
                RunState::Shutdown
            },
        }
    }

    /// `quit`
    pub(crate) fn quit(&self) {
        // A server that is gone has ended.
        if let Some(life) = self.life.upgrade() {
            life.quit();
        }
    }
}
