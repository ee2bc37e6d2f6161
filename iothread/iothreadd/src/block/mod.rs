//! Block nodes: how they stand on one another, on which event loop they are, and what they are asked for.
//!
//! - `active`: which nodes carry out requests.
//! - `add`: nodes out of the options of `blockdev-add`.
//! - `driver`: where nodes have their blocks from.
//! - `io`: requests, how they go down from node to node and where they run.
//! - `place`: on which event loop a node is.
//! - `users`, `access`, `permission`: who uses a node, what for, and whether that fits together.
//! - `resize`: new sizes.
//! - `query`, `filename`: what clients are shown; `statistics`: what users have asked for.

mod access;
mod active;
mod add;
mod driver;
mod filename;
mod io;
mod permission;
mod place;
mod query;
mod resize;
mod statistics;
mod users;

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::Error;

pub(crate) use self::active::Activated;
use self::io::NodeIo;
pub(crate) use self::io::{
    Backend, Entered, Extent, IoBuffer, Kind, MAX_EXTENTS, MAX_TRANSFER, Operation, Outcome,
    Pending, Request, Started, Totals, UserPath, is_zero,
};
use self::place::NodeContext;
pub(crate) use self::place::{ExportRights, Follower, Medium, MoveError, NodeUser};
use self::users::Attached;
use crate::coming::Coming;
use crate::finally::Finally;
use crate::qapi::{BlockdevCacheOptions, BlockdevDetectZeroesOptions};
use crate::sync::{Level, Mutex};

/// All block nodes.
pub(crate) struct Blocks {
    graph: Mutex<Graph>,
    /// Nodes whose files are being opened.
    coming: Coming,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            graph: Mutex::at(Level::Graph, Graph::default()),
            coming: Coming::default(),
        }
    }
}

#[derive(Default)]
struct Graph {
    /// In the order of their creation; what a node stands on comes before it.
    nodes: Vec<Node>,
    /// The paths of drives that have no medium, and when they came.
    empty_drives: Vec<(u64, UserPath)>,
    n_unnamed: u64,
    /// Orders nodes and users by when they came.
    n_numbers: u64,
}

/// A node that is part of the graph.
struct Node {
    name: String,
    io: Arc<NodeIo>,
    /// The node that it stands on.
    child: Option<String>,
    /// Whether `blockdev-add` made it itself, so that `blockdev-del` may name it.
    is_root: bool,
    cache: BlockdevCacheOptions,
    detect_zeroes: BlockdevDetectZeroesOptions,
    users: Vec<Attached>,
    place: NodeContext,
    /// When it came.
    since: u64,
}

impl Graph {
    fn index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    fn find(&self, name: &str) -> Result<&Node, Error> {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.ok_or_else(|| no_node(name))
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Node, Error> {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.ok_or_else(|| no_node(name))
    }

    fn next_number(&mut self) -> u64 {
        self.n_numbers += 1;
        self.n_numbers
    }

    fn has_parent(&self, name: &str) -> bool {
        let is_parent = |node: &Node| node.child.as_deref() == Some(name);
        self.nodes.iter().any(is_parent)
    }

    /// Whether nothing keeps a node: it was defined inside of another one that is gone, and the last user of it is, too.
    fn is_left_over(&self, name: &str) -> bool {
        let is_unused = |node: &Node| !node.is_root && node.users.is_empty();
        self.find(name).is_ok_and(is_unused) && !self.has_parent(name)
    }

    /// Removes a node, and those defined inside of it unless something else keeps them.
    fn remove_node(&mut self, name: &str) -> Vec<Node> {
        let mut gone = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(index) = next.and_then(|name| self.index(&name)) {
            let node = self.nodes.remove(index);
            next = node.child.clone().filter(|child| self.is_left_over(child));
            gone.push(node);
        }
        // What the last of them kept others from doing to a node that stays.
        let below = gone.last().and_then(|node| node.child.as_deref());
        if let Some(below) = below {
            // To lock less does not fail.
            let _ = self.update_locks(below);
        }
        gone
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

/// Forgets nodes that are not in the graph any more, and keeps `done` until that is done. To close a file may take as long
/// as its file system likes.
fn forget(main: OnMain<'_>, nodes: Vec<Node>, done: &Finally) {
    let mut ways = Vec::new();
    for node in nodes {
        node.place.give_up(main, done);
        ways.push(node.io);
    }
    if ways.iter().any(|io| io.has_file()) {
        let kept = done.clone();
        // A main loop that takes nothing any more is at its end.
        let _ = main
            .context()
            .spawn_blocking(move || drop(ways), move |_, _| drop(kept));
    }
}

impl Blocks {
    /// `blockdev-del`. Keeps `gone` until nothing is left of the node.
    pub(crate) fn delete(&self, main: OnMain<'_>, name: &str, gone: &Finally) -> Result<(), Error> {
        let mut graph = self.graph.lock();
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
        let nodes = graph.remove_node(name);
        drop(graph);
        forget(main, nodes, gone);
        Ok(())
    }

    /// Deletes all nodes, at the end of the server.
    pub(crate) fn clear(&self, main: OnMain<'_>, gone: &Finally) {
        let nodes = std::mem::take(&mut self.graph.lock().nodes);
        forget(main, nodes, gone);
    }
}
