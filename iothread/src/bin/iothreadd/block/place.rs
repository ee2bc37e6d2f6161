//! On which event loop a node runs, and who made it run there.

use iothread::{HeldAioContext, IoThread, holder};
use qapi_runtime::Error;

use super::{Blocks, Graph, UserPath};

/// The event loop of a node: that of an IOThread, or the main loop.
#[derive(Default)]
pub(super) struct Place {
    thread: Option<IoThread>,
    /// Of the node that `x-blockdev-set-iothread` named; those that moved along hold nothing.
    held: Option<HeldAioContext>,
}

/// A device or an export that uses a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeUser {
    /// Its path, or whatever else tells it apart.
    pub(crate) path: UserPath,
    /// Whether it puts up with the node being moved.
    pub(crate) allows_move: bool,
    /// Whether it writes, and lets others write beside it.
    pub(crate) shares_writing: bool,
}

/// Why a node was not moved.
#[derive(Debug)]
pub(crate) enum MoveError {
    NoNode(Error),
    /// Another user insists on the place where the node is.
    Refused,
}

impl From<MoveError> for Error {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::NoNode(error) => error,
            MoveError::Refused => Self::generic("Cannot change iothread of active block backend"),
        }
    }
}

impl Place {
    /// The place of a node that stands on one at this place.
    pub(super) fn joined(&self) -> Self {
        Self {
            thread: self.thread.clone(),
            held: None,
        }
    }

    /// Gives the IOThread back, if the node holds one.
    pub(super) fn give_up(self) {
        if let Some(held) = self.held {
            held.release();
        }
    }

    fn is_on(&self, thread: Option<&IoThread>) -> bool {
        match (&self.thread, thread) {
            (Some(here), Some(there)) => here.is_same(there),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Graph {
    /// Moves the node and all that are connected with it; `mover` does not object. Returns the contexts that nodes held
    /// before, to be released without the lock.
    fn relocate(
        &mut self,
        name: &str,
        thread: Option<&IoThread>,
        mover: Option<&str>,
    ) -> Result<Vec<HeldAioContext>, MoveError> {
        let connected = self.connected(name);
        let is_in_place = connected
            .iter()
            .all(|&it| self.nodes[it].place.is_on(thread));
        let objects = |user: &NodeUser| !user.allows_move && Some(&*user.path) != mover;
        if !is_in_place
            && connected
                .iter()
                .any(|&it| self.nodes[it].users.iter().any(objects))
        {
            return Err(MoveError::Refused);
        }
        let mut released = Vec::new();
        for index in connected {
            let place = &mut self.nodes[index].place;
            place.thread = thread.cloned();
            released.extend(place.held.take());
        }
        Ok(released)
    }
}

impl Blocks {
    /// `x-blockdev-set-iothread`: moves a node, and makes it a holder of the IOThread.
    pub(crate) fn set_iothread(
        &self,
        name: &str,
        thread: Option<&IoThread>,
        force: bool,
    ) -> Result<(), Error> {
        let mut graph = self.0.lock();
        if !graph.find(name)?.users.is_empty() && !force {
            return Err(Error::generic(format!(
                "Node {name} is associated with a BlockBackend and could be in use (use force=true to override \
                 this check)"
            )));
        }
        let held = match thread {
            Some(thread) => Some(
                thread
                    .get_aio_context(holder::block_node(name))
                    .map_err(|error| Error::generic(error.to_string()))?,
            ),
            None => None,
        };
        let released = graph.relocate(name, thread, None)?;
        if let Some(index) = graph.index(name) {
            graph.nodes[index].place.held = held;
        }
        drop(graph);
        released.into_iter().for_each(HeldAioContext::release);
        Ok(())
    }

    /// A device or an export begins to use a node, and moves it to where it runs itself.
    pub(crate) fn attach(
        &self,
        name: &str,
        user: NodeUser,
        thread: Option<&IoThread>,
    ) -> Result<(), MoveError> {
        let mut graph = self.0.lock();
        graph.find(name).map_err(MoveError::NoNode)?;
        let released = graph.relocate(name, thread, Some(&user.path))?;
        if let Some(index) = graph.index(name) {
            graph.nodes[index].users.push(user);
        }
        drop(graph);
        released.into_iter().for_each(HeldAioContext::release);
        Ok(())
    }

    /// A device or an export does not use a node any more. The last one leaves it on the main loop.
    pub(crate) fn detach(&self, name: &str, path: &str) {
        let mut graph = self.0.lock();
        if let Some(index) = graph.index(name) {
            graph.nodes[index].users.retain(|user| &*user.path != path);
        }
        let connected = graph.connected(name);
        let is_used = connected
            .iter()
            .any(|&it| !graph.nodes[it].users.is_empty());
        // With users that stay the node stays as well. Without, nobody objects.
        let released = match is_used {
            true => Vec::new(),
            false => graph.relocate(name, None, Some(path)).unwrap_or_default(),
        };
        drop(graph);
        released.into_iter().for_each(HeldAioContext::release);
    }

    /// Checks that a new user could write to the node, beside those that it has.
    pub(crate) fn check_permission(&self, name: &str, new: &NodeUser) -> Result<(), Error> {
        let graph = self.0.lock();
        let node = graph.find(name)?;
        if !node.active {
            return Err(Error::generic(format!("Node {name} is inactive")));
        }
        let conflict = node
            .users
            .iter()
            .find(|user| !user.shares_writing || !new.shares_writing);
        match conflict {
            None => Ok(()),
            Some(user) => Err(Error::generic(format!(
                "Permission conflict on node '{name}': permissions 'write' are both required by block device '{}' \
                 (uses node '{name}' as 'root' child) and unshared by block device '{}' (uses node '{name}' as \
                 'root' child).",
                user.path, new.path
            ))),
        }
    }

    /// Checks that there is such a node.
    pub(crate) fn check_exists(&self, name: &str) -> Result<(), Error> {
        self.0.lock().find(name).map(|_| ())
    }

    /// Whether a node can be written to; `None` if there is no such node.
    pub(crate) fn is_writable(&self, name: &str) -> Option<bool> {
        let graph = self.0.lock();
        graph.find(name).ok().map(|node| !node.read_only)
    }
}
