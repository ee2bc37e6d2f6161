//! `blockdev-add`: nodes out of options.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::Error;

use super::driver::{Driver, File, FileKind, Null, OpenOptions, Raw};
use super::io::{DetectZeroes, NodeIo, Policy};
use super::place::Place;
use super::{Blocks, Node};
use crate::ident::is_identifier;
use crate::net::descriptors::DescriptorSets;
use crate::qapi::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDiscardOptions, BlockdevOptions,
    BlockdevOptionsDriver, BlockdevOptionsRaw, BlockdevRef,
};

/// The longest name of a node.
const MAX_NODE_NAME: usize = 31;

/// The most nodes that one may stand on: requests go down from node to node, on the stack, and whether users fit together is
/// looked at for each node with all that are above it. QEMU has no limit.
const MAX_BELOW: usize = 50;

impl Blocks {
    /// `blockdev-add`
    pub(crate) fn add(
        &self,
        _: OnMain<'_>,
        sets: &DescriptorSets,
        options: BlockdevOptions,
    ) -> Result<(), Error> {
        if options.node_name.is_none() {
            return Err(Error::generic(
                "'node-name' must be specified for the root node",
            ));
        }
        // The new nodes are put together outside of the graph: opening files may take its time, and nothing has to be
        // undone if that fails. Only the main loop adds nodes.
        let mut new = Vec::new();
        let name = self.open(sets, options, true, &mut new)?;
        let mut graph = self.0.lock();
        let n_before = graph.nodes.len();
        graph.nodes.append(&mut new);
        let fits = graph
            .check_access(&name)
            .and_then(|()| graph.update_locks(&name));
        if fits.is_err() {
            graph.nodes.truncate(n_before);
        }
        fits
    }

    fn open(
        &self,
        sets: &DescriptorSets,
        options: BlockdevOptions,
        is_root: bool,
        new: &mut Vec<Node>,
    ) -> Result<String, Error> {
        let read_only = options.read_only.unwrap_or(false);
        let active = options.active.unwrap_or(true);
        let unmaps = options.discard == Some(BlockdevDiscardOptions::Unmap);
        let detect_zeroes = match &options.detect_zeroes {
            None | Some(BlockdevDetectZeroesOptions::Off) => DetectZeroes::Off,
            Some(BlockdevDetectZeroesOptions::On) => DetectZeroes::On,
            Some(BlockdevDetectZeroesOptions::Unmap) => DetectZeroes::Unmap,
            Some(BlockdevDetectZeroesOptions::Unknown(name)) => {
                return Err(Error::generic(format!(
                    "Parameter 'detect-zeroes' does not accept value '{name}'"
                )));
            }
        };
        let cache = options.cache.clone().unwrap_or_default();
        let open_options = OpenOptions {
            read_only,
            auto_read_only: options.auto_read_only.unwrap_or(false),
            force_share: options.force_share.unwrap_or(false),
            direct: cache.direct.unwrap_or(false),
        };
        // In the order in which QEMU does it: what is wrong first is told.
        let child = match &options.driver {
            BlockdevOptionsDriver::Raw(raw) => Some(self.open_child(sets, &options, raw, new)?),
            _ => None,
        };
        if open_options.force_share && !read_only {
            return Err(Error::generic(
                "force-share=on can only be used with read-only images",
            ));
        }
        if let BlockdevOptionsDriver::File(file) | BlockdevOptionsDriver::HostDevice(file) =
            &options.driver
            && file.filename.is_empty()
        {
            let name = driver_name(&options.driver);
            return Err(Error::generic(format!(
                "The '{name}' block driver requires a file name"
            )));
        }
        if detect_zeroes == DetectZeroes::Unmap && !unmaps {
            return Err(Error::generic(
                "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap",
            ));
        }
        let name = self.new_name(options.node_name.clone(), new)?;
        let below = std::iter::successors(child.as_ref().map(|(_, io)| &**io), |io| io.child());
        if below.count() > MAX_BELOW {
            return Err(Error::generic(format!(
                "node '{name}' would stand on more than {MAX_BELOW} others"
            )));
        }
        if let Some((below, io)) = &child
            && active
            && !io.is_active()
        {
            return Err(Error::generic(format!(
                "Inactive '{below}' can't be a file child of active '{name}'"
            )));
        }
        let driver = match &options.driver {
            BlockdevOptionsDriver::NullCo(null) => Driver::Null(Null::new(null)?),
            BlockdevOptionsDriver::File(file) => {
                Driver::File(File::open(FileKind::File, file, open_options, sets)?)
            }
            BlockdevOptionsDriver::HostDevice(file) => {
                Driver::File(File::open(FileKind::HostDevice, file, open_options, sets)?)
            }
            BlockdevOptionsDriver::Raw(raw) => {
                let child_size = child.as_ref().map_or(0, |(_, io)| io.size());
                Driver::Raw(Raw::new(raw.offset, raw.size, child_size)?)
            }
            BlockdevOptionsDriver::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'driver' does not accept value '{name}'"
                )));
            }
        };
        check_cache(&options)?;
        let place = match &child {
            // A node joins the one that it stands on.
            Some((child, _)) => match self.0.lock().find(child) {
                Ok(node) => node.place.joined(),
                Err(_) => Place::default(),
            },
            None => Place::default(),
        };
        let (child, child_io) = child.unzip();
        let policy = Policy {
            read_only: read_only || driver.is_read_only(),
            discard: unmaps,
            detect_zeroes,
            no_flush: cache.no_flush.unwrap_or(false),
        };
        new.push(Node {
            name: name.clone(),
            io: Arc::new(NodeIo::new(driver, child_io, policy, active)),
            child,
            is_root,
            cache,
            detect_zeroes: options
                .detect_zeroes
                .unwrap_or(BlockdevDetectZeroesOptions::Off),
            users: Vec::new(),
            place,
            since: self.0.lock().next_number(),
        });
        Ok(name)
    }

    /// The node that a raw one stands on: one that exists, or a new one.
    fn open_child(
        &self,
        sets: &DescriptorSets,
        parent: &BlockdevOptions,
        raw: &BlockdevOptionsRaw,
        new: &mut Vec<Node>,
    ) -> Result<(String, Arc<NodeIo>), Error> {
        match &raw.file {
            BlockdevRef::Reference(name) => {
                let graph = self.0.lock();
                let node = graph.find(name).map_err(|_| {
                    Error::generic(format!(
                        "Cannot find device='{name}' nor node-name='{name}'"
                    ))
                })?;
                Ok((name.clone(), Arc::clone(&node.io)))
            }
            BlockdevRef::Definition(definition) => {
                let name = self.open(sets, inherit(parent, definition), false, new)?;
                let opened = new.iter().find(|node| node.name == name);
                let node = opened.ok_or_else(|| super::no_node(&name))?;
                Ok((name, Arc::clone(&node.io)))
            }
        }
    }

    fn new_name(&self, wanted: Option<String>, new: &[Node]) -> Result<String, Error> {
        let mut graph = self.0.lock();
        let Some(name) = wanted else {
            let number = graph.n_unnamed;
            graph.n_unnamed += 1;
            return Ok(format!("#block{number:03}"));
        };
        if !is_identifier(&name) {
            return Err(Error::generic(format!("Invalid node-name: '{name}'")));
        }
        if graph.index(&name).is_some() || new.iter().any(|node| node.name == name) {
            return Err(Error::generic(format!(
                "Duplicate nodes with node-name='{name}'"
            )));
        }
        if name.len() > MAX_NODE_NAME {
            return Err(Error::generic("Node name too long"));
        }
        Ok(name)
    }
}

/// As in QEMU, options for the cache that say nothing are refused.
fn check_cache(options: &BlockdevOptions) -> Result<(), Error> {
    if options.cache != Some(BlockdevCacheOptions::default()) {
        return Ok(());
    }
    let name = driver_name(&options.driver);
    Err(Error::generic(match &options.driver {
        BlockdevOptionsDriver::Raw(_) => {
            format!("Block format '{name}' does not support the option 'cache'")
        }
        BlockdevOptionsDriver::NullCo(_)
        | BlockdevOptionsDriver::File(_)
        | BlockdevOptionsDriver::HostDevice(_) => {
            format!("Block protocol '{name}' doesn't support the option 'cache'")
        }
        BlockdevOptionsDriver::Unknown(name) => {
            format!("Parameter 'driver' does not accept value '{name}'")
        }
    }))
}

fn driver_name(driver: &BlockdevOptionsDriver) -> &str {
    match driver {
        BlockdevOptionsDriver::File(_) => "file",
        BlockdevOptionsDriver::HostDevice(_) => "host_device",
        BlockdevOptionsDriver::NullCo(_) => "null-co",
        BlockdevOptionsDriver::Raw(_) => "raw",
        BlockdevOptionsDriver::Unknown(name) => name,
    }
}

/// The options of a node defined inside of another, which takes over what it does not say itself. What is discarded or
/// detected is decided above, so requests to discard go through.
fn inherit(parent: &BlockdevOptions, definition: &BlockdevOptions) -> BlockdevOptions {
    let mut options = definition.clone();
    let nothing = Some(BlockdevCacheOptions::default());
    if let Some(cache) = &parent.cache
        && parent.cache != nothing
        && options.cache != nothing
    {
        let child_cache = options.cache.get_or_insert_default();
        child_cache.direct = child_cache.direct.or(cache.direct);
        child_cache.no_flush = child_cache.no_flush.or(cache.no_flush);
    }
    options.read_only = options.read_only.or(parent.read_only);
    options.auto_read_only = options.auto_read_only.or(parent.auto_read_only);
    options.force_share = options.force_share.or(parent.force_share);
    options.discard.get_or_insert(BlockdevDiscardOptions::Unmap);
    options
}
