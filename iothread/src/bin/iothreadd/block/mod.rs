//! Block nodes: how they stand on one another, and on which event loop they run.

mod driver;
mod place;
mod query;

use std::sync::Arc;

use iothread::qapi::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDiscardOptions, BlockdevOptions,
    BlockdevOptionsDriver, BlockdevRef,
};
use qapi_runtime::Error;

use self::driver::{Driver, OpenOptions};
pub(crate) use self::place::NodeUser;
use self::place::Place;
use crate::sync::Mutex;

/// The longest name of a node.
const MAX_NODE_NAME: usize = 31;

/// Tells nodes' users apart.
pub(crate) type UserPath = Arc<str>;

/// All block nodes.
#[derive(Default)]
pub(crate) struct Blocks(Mutex<Graph>);

#[derive(Default)]
struct Graph {
    /// In the order of their creation; what a node stands on comes before it.
    nodes: Vec<Node>,
    n_unnamed: u64,
}

/// A node that is part of the graph.
struct Node {
    name: String,
    driver: Driver,
    /// The node that it stands on.
    child: Option<String>,
    /// Whether `blockdev-add` made it itself, so that `blockdev-del` may name it.
    is_root: bool,
    read_only: bool,
    /// Whether it may carry out requests.
    active: bool,
    cache: BlockdevCacheOptions,
    detect_zeroes: BlockdevDetectZeroesOptions,
    users: Vec<NodeUser>,
    place: Place,
}

impl Graph {
    fn index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    fn find(&self, name: &str) -> Result<&Node, Error> {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.ok_or_else(|| no_node(name))
    }

    fn has_parent(&self, name: &str) -> bool {
        let is_parent = |node: &Node| node.child.as_deref() == Some(name);
        self.nodes.iter().any(is_parent)
    }

    /// The nodes that are connected with `name`, which always run on the same event loop.
    fn connected(&self, name: &str) -> Vec<usize> {
        let mut connected: Vec<usize> = self.index(name).into_iter().collect();
        let mut next = 0;
        while let Some(&index) = connected.get(next) {
            next += 1;
            let node = &self.nodes[index];
            for (other_index, other) in self.nodes.iter().enumerate() {
                let is_linked = node.child.as_ref() == Some(&other.name)
                    || other.child.as_ref() == Some(&node.name);
                if is_linked && !connected.contains(&other_index) {
                    connected.push(other_index);
                }
            }
        }
        connected
    }
}

fn no_node(name: &str) -> Error {
    Error::generic(format!("Failed to find node with node-name='{name}'"))
}

impl Blocks {
    /// `blockdev-add`
    pub(crate) fn add(&self, options: BlockdevOptions) -> Result<(), Error> {
        if options.node_name.is_none() {
            return Err(Error::generic(
                "'node-name' must be specified for the root node",
            ));
        }
        // The new nodes are put together outside of the graph: opening files may take its time, and nothing has to be
        // undone if that fails. Only the main loop adds nodes.
        let mut new = Vec::new();
        self.open(options, true, &mut new)?;
        self.0.lock().nodes.append(&mut new);
        Ok(())
    }

    fn open(
        &self,
        options: BlockdevOptions,
        is_root: bool,
        new: &mut Vec<Node>,
    ) -> Result<String, Error> {
        let read_only = options.read_only.unwrap_or(false);
        let active = options.active.unwrap_or(true);
        let open_options = OpenOptions {
            read_only,
            auto_read_only: options.auto_read_only.unwrap_or(false),
            force_share: options.force_share.unwrap_or(false),
            active,
            direct: options
                .cache
                .as_ref()
                .and_then(|cache| cache.direct)
                .unwrap_or(false),
        };
        if open_options.force_share && !read_only {
            return Err(Error::generic(
                "force-share=on can only be used with read-only images",
            ));
        }
        let is_unmap = |it: &BlockdevDetectZeroesOptions| *it == BlockdevDetectZeroesOptions::Unmap;
        if options.detect_zeroes.as_ref().is_some_and(is_unmap)
            && options.discard != Some(BlockdevDiscardOptions::Unmap)
        {
            return Err(Error::generic(
                "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap",
            ));
        }
        let (driver, child) = match options.driver {
            BlockdevOptionsDriver::NullCo(null) => (Driver::null(&null)?, None),
            BlockdevOptionsDriver::File(file) => (Driver::file(&file, open_options)?, None),
            BlockdevOptionsDriver::Raw(raw) => {
                let child = match raw.file {
                    BlockdevRef::Reference(name) => {
                        self.0.lock().find(&name).map_err(|_| {
                            Error::generic(format!(
                                "Cannot find device='{name}' nor node-name='{name}'"
                            ))
                        })?;
                        name
                    }
                    BlockdevRef::Definition(definition) => self.open(*definition, false, new)?,
                };
                let size = match new.iter().find(|node| node.name == child) {
                    Some(node) => node.driver.size(),
                    None => self.0.lock().find(&child)?.driver.size(),
                };
                (Driver::raw(raw.offset, raw.size, size)?, Some(child))
            }
            BlockdevOptionsDriver::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'driver' does not accept value '{name}'"
                )));
            }
        };
        let name = self.new_name(options.node_name, new)?;
        let place = match &child {
            // A node joins the one that it stands on.
            Some(child) => match self.0.lock().find(child) {
                Ok(node) => node.place.joined(),
                Err(_) => Place::default(),
            },
            None => Place::default(),
        };
        new.push(Node {
            name: name.clone(),
            read_only: read_only || driver.is_read_only(),
            driver,
            child,
            is_root,
            active,
            cache: options.cache.unwrap_or_default(),
            detect_zeroes: options
                .detect_zeroes
                .unwrap_or(BlockdevDetectZeroesOptions::Off),
            users: Vec::new(),
            place,
        });
        Ok(name)
    }

    fn new_name(&self, wanted: Option<String>, new: &[Node]) -> Result<String, Error> {
        let mut graph = self.0.lock();
        let Some(name) = wanted else {
            let number = graph.n_unnamed;
            graph.n_unnamed += 1;
            return Ok(format!("#block{number:03}"));
        };
        let is_well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !is_well_formed {
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

    /// `blockdev-del`
    pub(crate) fn delete(&self, name: &str) -> Result<(), Error> {
        let mut graph = self.0.lock();
        let node = graph.find(name)?;
        if !node.users.is_empty() {
            return Err(Error::generic(format!("Node {name} is in use")));
        }
        if !node.is_root {
            return Err(Error::generic(format!(
                "Node {name} is not owned by the monitor"
            )));
        }
        if graph.has_parent(name) {
            return Err(Error::generic(format!("Block device {name} is in use")));
        }
        let mut gone = Vec::new();
        let mut next = Some(name.to_owned());
        // Nodes defined inside of it go with it.
        while let Some(index) = next.and_then(|name| graph.index(&name)) {
            let node = graph.nodes.remove(index);
            next = node.child.clone().filter(|child| {
                let is_inner = graph.find(child).is_ok_and(|child| !child.is_root);
                is_inner && !graph.has_parent(child)
            });
            gone.push(node);
        }
        drop(graph);
        for node in gone {
            node.place.give_up();
        }
        Ok(())
    }

    /// Deletes all nodes, at the end of the server.
    pub(crate) fn clear(&self) {
        let nodes = std::mem::take(&mut self.0.lock().nodes);
        for node in nodes {
            node.place.give_up();
        }
    }
}
