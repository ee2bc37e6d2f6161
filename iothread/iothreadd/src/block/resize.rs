//! `block_resize`: new sizes for nodes that are in use.

use std::sync::Arc;

use iothread::{MainContext, OnMain};
use qapi_runtime::Error;

use super::driver::Driver;
use super::io::NodeIo;
use super::place::NodeUser;
use super::{Blocks, Graph, Node, forget};
use crate::finally::Finally;
use crate::task;

/// The largest size, as in QEMU.
const MAX_SIZE: u64 = (1 << 63) - (1 << 30);

/// Who resizes, among the users of a node.
const RESIZER: &str = "block_resize";

impl Graph {
    /// Whether a node keeps the one below from being resized, by itself or on behalf of those above it.
    ///
    /// Differs from QEMU: exports over NBD do not. Their clients are told the size when they ask next.
    fn forbids_resize(&self, node: &Node) -> bool {
        let fixes_size = node.io.driver().fixes_size_below();
        fixes_size || self.parents(&node.name).any(|it| self.forbids_resize(it))
    }

    fn parents<'g>(&'g self, name: &'g str) -> impl Iterator<Item = &'g Node> {
        let is_parent = move |node: &&Node| node.child.as_deref() == Some(name);
        self.nodes.iter().filter(is_parent)
    }

    /// Checks that no user keeps a node, or one below, from being resized.
    fn check_resize(&self, name: &str) -> Result<(), Error> {
        let mut resizer = "an unnamed block device".to_owned();
        let mut role = "root";
        let mut from: Option<&str> = None;
        let mut next = Some(name);
        while let Some(name) = next {
            let node = self.find(name)?;
            if !node.io.is_active() {
                return Err(Error::generic(
                    "Permission 'resize' unavailable on inactive node",
                ));
            }
            let others = self.parents(name).filter(|it| Some(&*it.name) != from);
            if let Some(owner) = others.filter(|it| self.forbids_resize(it)).last() {
                return Err(Error::generic(format!(
                    "Permission conflict on node '{name}': permissions 'resize' are both required by {resizer} \
                     (uses node '{name}' as '{role}' child) and unshared by node '{}' (uses node '{name}' as 'file' \
                     child).",
                    owner.name
                )));
            }
            resizer = format!("node '{name}'");
            role = "file";
            from = Some(name);
            next = node.child.as_deref();
        }
        Ok(())
    }

    /// The node with the file, and how long that has to be.
    fn plan_resize(&self, name: &str, size: u64) -> Result<(Arc<NodeIo>, u64), Error> {
        let mut length = size;
        let mut node = self.find(name)?;
        loop {
            if length > MAX_SIZE {
                return Err(Error::generic(format!(
                    "offset({length}) exceeds maximum({MAX_SIZE})"
                )));
            }
            if node.io.is_read_only() {
                return Err(Error::generic("Image is read-only"));
            }
            match node.io.driver() {
                Driver::Null(_) => {
                    return Err(Error::generic(
                        "Image format driver does not support resize",
                    ));
                }
                Driver::File(_) => return Ok((Arc::clone(&node.io), length)),
                Driver::Raw(raw) if raw.has_fixed_size() => {
                    return Err(Error::generic("Cannot resize fixed-size raw disks"));
                }
                Driver::Raw(raw) => length += raw.offset,
            }
            let below = node.child.as_deref().unwrap_or_default();
            node = self.find(below)?;
        }
    }
}

impl Blocks {
    /// Gives a node another size, in bytes, and with it the file below. What is cut off is not asked for any more when that
    /// happens. Users are not told.
    ///
    /// # Errors
    ///
    /// In QEMU's words: the node is another's to decide about, or cannot be resized, or the host refuses.
    pub(crate) async fn resize(
        &self,
        main: &MainContext,
        name: &str,
        size: i64,
    ) -> Result<(), Error> {
        let (io, length) = self.begin_to_resize(name, size)?;
        let Driver::File(file) = io.driver() else {
            return Ok(());
        };
        if length < file.size() {
            file.begin_to_shrink(length);
            self.requests_have_ended(main).await;
        }
        let resizing = Arc::clone(&io);
        let resized = task::on_worker(main, move || match resizing.driver() {
            Driver::File(file) => file.resize(length),
            Driver::Null(_) | Driver::Raw(_) => Ok(()),
        })
        .await;
        task::see_through(main, |main, done| self.end_of_resize(main, name, done)).await?;
        resized?
    }

    fn begin_to_resize(&self, name: &str, size: i64) -> Result<(Arc<NodeIo>, u64), Error> {
        let mut graph = self.graph.lock();
        graph.find(name)?;
        let size = u64::try_from(size)
            .map_err(|_| Error::generic("Parameter 'size' expects a >0 size"))?;
        graph.check_resize(name)?;
        let plan = graph.plan_resize(name, size)?;
        // Other processes may have something against it, and the node is not deleted meanwhile.
        graph.push_user(name, NodeUser::resizer(RESIZER.into()))?;
        match graph.update_locks(name) {
            Ok(()) => Ok(plan),
            Err(error) => {
                graph.remove_one_user(name, RESIZER);
                Err(error)
            }
        }
    }

    fn end_of_resize(&self, main: OnMain<'_>, name: &str, done: &Finally) {
        let mut graph = self.graph.lock();
        graph.remove_one_user(name, RESIZER);
        let gone = match graph.is_left_over(name) {
            true => graph.remove_node(name),
            false => Vec::new(),
        };
        drop(graph);
        forget(main, gone, done);
    }
}
