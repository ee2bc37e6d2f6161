//! `blockdev-add`: nodes out of options.

use std::sync::Arc;

use iothread::{MainContext, OnMain};
use qapi_runtime::Error;

use super::driver::{Driver, File, FileKind, Null, OpenOptions, Raw};
use super::io::{DetectZeroes, NodeIo, Policy};
use super::place::NodeContext;
use super::{Blocks, Node};
use crate::ident::is_identifier;
use crate::net::descriptors::DescriptorSets;
use crate::qapi::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDiscardOptions, BlockdevOptions,
    BlockdevOptionsDriver, BlockdevOptionsFile, BlockdevRef,
};
use crate::task;

/// The longest name of a node.
const MAX_NODE_NAME: usize = 31;

/// The most nodes that one may stand on: requests go down from node to node, on the stack, and whether users fit together is
/// looked at for each node with all that are above it. QEMU has no limit.
const MAX_BELOW: usize = 50;

/// Nodes in the making. Opening the file below them may take as long as its file system likes, so it is done in between.
struct Making {
    lowest: Checked,
    /// Those that stand on it, the topmost first.
    above: Vec<BlockdevOptions>,
}

/// A node of which all has been checked but for what only its driver can tell.
struct Checked {
    options: BlockdevOptions,
    name: String,
    is_root: bool,
    /// What it stands on.
    child: Option<Child>,
}

type Child = (String, Arc<NodeIo>);

/// A file that is to be opened.
struct Opening {
    kind: FileKind,
    file: BlockdevOptionsFile,
    options: OpenOptions,
}

impl Opening {
    fn open(&self, sets: &DescriptorSets) -> Result<File, Error> {
        File::open(self.kind, &self.file, self.options, sets)
    }
}

impl Checked {
    /// The file that it is made of, if it is.
    fn opening(&self) -> Option<Opening> {
        let (kind, file) = match &self.options.driver {
            BlockdevOptionsDriver::File(file) => (FileKind::File, file),
            BlockdevOptionsDriver::HostDevice(file) => (FileKind::HostDevice, file),
            BlockdevOptionsDriver::NullCo(_)
            | BlockdevOptionsDriver::Raw(_)
            | BlockdevOptionsDriver::Unknown(_) => return None,
        };
        let BlockdevOptions {
            read_only,
            auto_read_only,
            force_share,
            cache,
            ..
        } = &self.options;
        let direct = cache.as_ref().and_then(|cache| cache.direct);
        Some(Opening {
            kind,
            file: file.clone(),
            options: OpenOptions {
                read_only: read_only.unwrap_or(false),
                auto_read_only: auto_read_only.unwrap_or(false),
                force_share: force_share.unwrap_or(false),
                direct: direct.unwrap_or(false),
            },
        })
    }
}

impl Blocks {
    /// `blockdev-add`. The main loop goes on while a file is opened.
    pub(crate) async fn add(
        &self,
        main: &MainContext,
        sets: &DescriptorSets,
        options: BlockdevOptions,
    ) -> Result<(), Error> {
        let making = self.begin_to_add(options)?;
        let file = match making.lowest.opening() {
            Some(opening) => {
                let _coming = self.coming.begin(&making.lowest.name);
                let sets = sets.clone();
                let opened = task::on_worker(main, move || opening.open(&sets)).await?;
                Some(opened?)
            }
            None => None,
        };
        self.finish_adding(task::here(main)?, making, file)
    }

    /// What waits for a file system to open files: for people.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let describe = |name: String| format!("block node '{name}' waits for its file");
        self.coming.names().into_iter().map(describe).collect()
    }

    /// Checks what can be checked before a file is opened. What is wrong is told from the lowest node up, as in QEMU.
    fn begin_to_add(&self, options: BlockdevOptions) -> Result<Making, Error> {
        if options.node_name.is_none() {
            return Err(Error::generic(
                "'node-name' must be specified for the root node",
            ));
        }
        let (mut above, base) = layers(options)?;
        let lowest = above
            .pop()
            .ok_or_else(|| Error::generic("there is no node"))?;
        let child = base.map(|name| self.base(name)).transpose()?;
        Ok(Making {
            lowest: self.check(lowest, above.is_empty(), child, &[])?,
            above,
        })
    }

    /// Makes the nodes. They are put together outside of the graph, so nothing has to be undone if that fails.
    fn finish_adding(
        &self,
        _: OnMain<'_>,
        making: Making,
        file: Option<File>,
    ) -> Result<(), Error> {
        let Making { lowest, mut above } = making;
        // Others may have added nodes while the file was opened.
        if self.graph.lock().index(&lowest.name).is_some() {
            return Err(duplicate(&lowest.name));
        }
        let mut last = self.make(lowest, file)?;
        let mut new = Vec::new();
        while let Some(options) = above.pop() {
            let child = (last.name.clone(), Arc::clone(&last.io));
            new.push(last);
            last = self.make(
                self.check(options, above.is_empty(), Some(child), &new)?,
                None,
            )?;
        }
        let name = last.name.clone();
        new.push(last);
        let mut graph = self.graph.lock();
        let n_before = graph.nodes.len();
        graph.nodes.append(&mut new);
        let fits = graph
            .check_access(&name, None)
            .and_then(|()| graph.update_locks(&name));
        if fits.is_err() {
            graph.nodes.truncate(n_before);
        }
        fits
    }

    /// The node that exists already under new ones.
    fn base(&self, name: String) -> Result<Child, Error> {
        let graph = self.graph.lock();
        let node = graph.find(&name).map_err(|_| {
            Error::generic(format!(
                "Cannot find device='{name}' nor node-name='{name}'"
            ))
        })?;
        Ok((name, Arc::clone(&node.io)))
    }

    fn check(
        &self,
        options: BlockdevOptions,
        is_root: bool,
        child: Option<Child>,
        new: &[Node],
    ) -> Result<Checked, Error> {
        if options.force_share == Some(true) && options.read_only != Some(true) {
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
        if detect_zeroes(&options)? == DetectZeroes::Unmap && !unmaps(&options) {
            return Err(Error::generic(
                "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap",
            ));
        }
        let name = self.new_name(options.node_name.clone(), new)?;
        let below = std::iter::successors(child.as_ref().map(|(_, io)| &**io), |io| io.child());
        if below.count() > MAX_BELOW {
            return Err(too_many_below(&name));
        }
        if let Some((below, io)) = &child
            && is_active(&options)
            && !io.is_active()
        {
            return Err(Error::generic(format!(
                "Inactive '{below}' can't be a file child of active '{name}'"
            )));
        }
        Ok(Checked {
            options,
            name,
            is_root,
            child,
        })
    }

    /// Makes a node; `file` is what is behind it if it is made of one.
    fn make(&self, checked: Checked, file: Option<File>) -> Result<Node, Error> {
        let Checked {
            options,
            name,
            is_root,
            child,
        } = checked;
        let driver = match (&options.driver, file) {
            (BlockdevOptionsDriver::NullCo(null), _) => Driver::Null(Null::new(null)?),
            (BlockdevOptionsDriver::File(_) | BlockdevOptionsDriver::HostDevice(_), Some(file)) => {
                Driver::File(file)
            }
            (BlockdevOptionsDriver::File(_) | BlockdevOptionsDriver::HostDevice(_), None) => {
                return Err(Error::generic(format!("the file of '{name}' is not open")));
            }
            (BlockdevOptionsDriver::Raw(raw), _) => {
                let child_size = child.as_ref().map_or(0, |(_, io)| io.size());
                Driver::Raw(Raw::new(raw.offset, raw.size, child_size)?)
            }
            (BlockdevOptionsDriver::Unknown(name), _) => {
                return Err(Error::generic(format!(
                    "Parameter 'driver' does not accept value '{name}'"
                )));
            }
        };
        check_cache(&options)?;
        let mut graph = self.graph.lock();
        let place = match &child {
            // A node joins the one that it stands on.
            Some((child, _)) => match graph.find(child) {
                Ok(node) => node.place.joined(),
                Err(_) => NodeContext::default(),
            },
            None => NodeContext::default(),
        };
        let cache = options.cache.clone().unwrap_or_default();
        let policy = Policy {
            read_only: options.read_only.unwrap_or(false) || driver.is_read_only(),
            discard: unmaps(&options),
            detect_zeroes: detect_zeroes(&options)?,
            no_flush: cache.no_flush.unwrap_or(false),
        };
        let (child, child_io) = child.unzip();
        Ok(Node {
            name,
            io: Arc::new(NodeIo::new(driver, child_io, policy, is_active(&options))),
            child,
            is_root,
            cache,
            detect_zeroes: options
                .detect_zeroes
                .unwrap_or(BlockdevDetectZeroesOptions::Off),
            users: Vec::new(),
            place,
            since: graph.next_number(),
        })
    }

    fn new_name(&self, wanted: Option<String>, new: &[Node]) -> Result<String, Error> {
        let mut graph = self.graph.lock();
        let Some(name) = wanted else {
            let number = graph.n_unnamed;
            graph.n_unnamed += 1;
            return Ok(format!("#block{number:03}"));
        };
        if !is_identifier(&name) {
            return Err(Error::generic(format!("Invalid node-name: '{name}'")));
        }
        if graph.index(&name).is_some() || new.iter().any(|node| node.name == name) {
            return Err(duplicate(&name));
        }
        if name.len() > MAX_NODE_NAME {
            return Err(Error::generic("Node name too long"));
        }
        Ok(name)
    }
}

fn duplicate(name: &str) -> Error {
    Error::generic(format!("Duplicate nodes with node-name='{name}'"))
}

fn too_many_below(name: &str) -> Error {
    Error::generic(format!(
        "node '{name}' would stand on more than {MAX_BELOW} others"
    ))
}

/// The options of a node and of those that are defined inside of it, from the top down, and the name of the node below
/// them all, if they stand on one that exists.
fn layers(top: BlockdevOptions) -> Result<(Vec<BlockdevOptions>, Option<String>), Error> {
    let mut layers: Vec<BlockdevOptions> = Vec::new();
    let mut next = top;
    loop {
        let below = match &mut next.driver {
            // What it is told of the file is told here.
            BlockdevOptionsDriver::Raw(raw) => {
                let nothing = BlockdevRef::Reference(String::new());
                Some(std::mem::replace(&mut raw.file, nothing))
            }
            BlockdevOptionsDriver::File(_)
            | BlockdevOptionsDriver::HostDevice(_)
            | BlockdevOptionsDriver::NullCo(_)
            | BlockdevOptionsDriver::Unknown(_) => None,
        };
        let definition = match below {
            Some(BlockdevRef::Definition(definition)) => inherit(&next, *definition),
            Some(BlockdevRef::Reference(name)) => {
                layers.push(next);
                return Ok((layers, Some(name)));
            }
            None => {
                layers.push(next);
                return Ok((layers, None));
            }
        };
        layers.push(std::mem::replace(&mut next, definition));
        if layers.len() > MAX_BELOW {
            let name = layers[0].node_name.as_deref();
            return Err(too_many_below(name.unwrap_or_default()));
        }
    }
}

fn is_active(options: &BlockdevOptions) -> bool {
    options.active.unwrap_or(true)
}

fn unmaps(options: &BlockdevOptions) -> bool {
    options.discard == Some(BlockdevDiscardOptions::Unmap)
}

fn detect_zeroes(options: &BlockdevOptions) -> Result<DetectZeroes, Error> {
    Ok(match &options.detect_zeroes {
        None | Some(BlockdevDetectZeroesOptions::Off) => DetectZeroes::Off,
        Some(BlockdevDetectZeroesOptions::On) => DetectZeroes::On,
        Some(BlockdevDetectZeroesOptions::Unmap) => DetectZeroes::Unmap,
        Some(BlockdevDetectZeroesOptions::Unknown(name)) => {
            return Err(Error::generic(format!(
                "Parameter 'detect-zeroes' does not accept value '{name}'"
            )));
        }
    })
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
fn inherit(parent: &BlockdevOptions, mut options: BlockdevOptions) -> BlockdevOptions {
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
