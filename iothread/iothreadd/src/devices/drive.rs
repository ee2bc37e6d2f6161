//! Block nodes as disks use them.

use std::sync::{Arc, OnceLock};

use iothread::{IoThread, OnMain};
use qapi_runtime::Error;

use super::properties::Properties;
use crate::block::{Backend, Entered, Medium, NodeUser};
use crate::finally::Finally;
use crate::host::Host;
use crate::sync::Mutex;

/// A block node that a disk uses.
pub(super) struct Drive {
    node: String,
    user: Arc<str>,
    medium: Medium,
    shares_writing: bool,
    /// Set while it is attached.
    backend: OnceLock<(Arc<Backend>, Disks)>,
}

/// The disks that the queues of a device lead to.
#[derive(Clone, Default)]
pub(super) struct Disks(Arc<Mutex<Vec<Arc<Backend>>>>);

impl Disks {
    /// All disks at this moment. Who sends requests to one has entered it meanwhile: a disk that is not among them any more
    /// is idle only when nobody who has found it is left.
    pub(super) fn enter(&self) -> Vec<(Arc<Backend>, Entered)> {
        let disks = self.0.lock();
        let enter = |disk: &Arc<Backend>| (Arc::clone(disk), disk.enter());
        disks.iter().map(enter).collect()
    }
}

/// The node that the property `drive` names, if it is set.
///
/// # Errors
///
/// In QEMU's words: there is no such node.
pub(super) fn node_of(
    host: &Host,
    properties: &Properties,
    type_name: &str,
) -> Result<Option<String>, Error> {
    let node: Option<String> = properties.get("drive")?;
    match node.filter(|node| !node.is_empty()) {
        Some(node) if host.blocks.is_writable(&node).is_none() => Err(Error::generic(format!(
            "Property '{type_name}.drive' can't find value '{node}'"
        ))),
        node => Ok(node),
    }
}

impl Drive {
    /// Checks that a disk could use a node beside those that do; `user` tells the disk apart.
    pub(super) fn new(
        host: &Host,
        node: String,
        user: &str,
        medium: Medium,
        properties: &Properties,
    ) -> Result<Self, Error> {
        let drive = Self {
            node,
            user: user.into(),
            medium,
            shares_writing: properties.get_or("share-rw", false)?,
            backend: OnceLock::new(),
        };
        let blocks = &host.blocks;
        blocks.check_permission(&drive.node, &drive.node_user())?;
        Ok(drive)
    }

    fn node_user(&self) -> NodeUser {
        NodeUser::device(Arc::clone(&self.user), self.medium, self.shares_writing)
    }

    /// Takes the node to `home`, keeps it from others, and lets the queues with these disks send requests to it. Keeps
    /// `moved` until the node is there.
    pub(super) fn attach(
        &self,
        main: OnMain<'_>,
        host: &Host,
        home: Option<&IoThread>,
        disks: &Disks,
        moved: &Finally,
    ) -> Result<(), Error> {
        let blocks = &host.blocks;
        blocks.attach(main, &self.node, self.node_user(), home, moved)?;
        let backend = match blocks.backend(&self.node, &self.user) {
            Ok(backend) => Arc::new(backend),
            Err(error) => {
                blocks.detach(main, &self.node, &self.user, moved);
                return Err(error);
            }
        };
        disks.0.lock().push(Arc::clone(&backend));
        // Only its device attaches it, once.
        let _ = self.backend.set((backend, disks.clone()));
        Ok(())
    }

    /// Refuses further requests, and keeps `idle` until the last one has ended.
    pub(super) fn quiesce(&self, _: OnMain<'_>, idle: &Finally) {
        if let Some((backend, disks)) = self.backend.get() {
            disks.0.lock().retain(|known| !Arc::ptr_eq(known, backend));
            backend.keep_until_idle(idle);
        }
    }

    /// The node that requests are waited for, if there are any.
    pub(super) fn busy_node(&self) -> Option<&str> {
        let (backend, _) = self.backend.get()?;
        (!backend.is_idle()).then_some(&self.node)
    }

    /// Gives the node back, after the last request to it, and keeps `gone` until that is done.
    pub(super) fn detach(&self, main: OnMain<'_>, host: &Host, gone: &Finally) {
        if self.backend.get().is_some() {
            host.blocks.detach(main, &self.node, &self.user, gone);
        }
    }
}
