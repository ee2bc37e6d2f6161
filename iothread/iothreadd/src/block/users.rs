//! Users of nodes: what they may do, and their ways to send requests.

use std::sync::Arc;

use qapi_runtime::Error;

use super::access::Access;
use super::io::Backend;
use super::permission::Candidate;
use super::place::NodeUser;
use super::{Blocks, Graph, UserPath};

/// A user of a node.
pub(super) struct Attached {
    pub(super) user: NodeUser,
    pub(super) access: Access,
    /// When it came.
    pub(super) since: u64,
}

impl Graph {
    /// Adds a user, if it fits the others, here and in other processes.
    pub(super) fn add_user(&mut self, name: &str, user: NodeUser) -> Result<(), Error> {
        self.check_new(name, &user)?;
        let path = Arc::clone(&user.path);
        self.push_user(name, user)?;
        // Other processes are asked by locking.
        let fits = self.update_locks(name);
        if fits.is_err() {
            self.remove_user(name, &path);
        }
        fits
    }

    /// Checks that a new user would fit those that the node has in this process.
    fn check_new(&self, name: &str, user: &NodeUser) -> Result<(), Error> {
        let access = user.access(!self.find(name)?.io.is_read_only());
        self.check_access(name, Some(&Candidate::new(name, user, access)))
    }

    pub(super) fn push_user(&mut self, name: &str, user: NodeUser) -> Result<(), Error> {
        let since = self.next_number();
        let node = self.find_mut(name)?;
        let access = user.access(!node.io.is_read_only());
        node.users.push(Attached {
            user,
            access,
            since,
        });
        Ok(())
    }

    /// Removes a user, and the locks that only it needed.
    pub(super) fn remove_user(&mut self, name: &str, path: &str) {
        if let Ok(node) = self.find_mut(name) {
            node.users.retain(|attached| &*attached.user.path != path);
        }
        // To lock less does not fail.
        let _ = self.update_locks(name);
    }

    /// The same where others may have the same path.
    pub(super) fn remove_one_user(&mut self, name: &str, path: &str) {
        if let Ok(node) = self.find_mut(name)
            && let Some(index) = node.users.iter().position(|it| &*it.user.path == path)
        {
            node.users.remove(index);
        }
        let _ = self.update_locks(name);
    }
}

impl Blocks {
    /// Checks that a new user would fit those that the node has in this process.
    pub(crate) fn check_permission(&self, name: &str, new: &NodeUser) -> Result<(), Error> {
        self.graph.lock().check_new(name, new)
    }

    /// Shows a drive that has no medium.
    pub(crate) fn add_empty_drive(&self, path: &str) {
        let mut graph = self.graph.lock();
        let since = graph.next_number();
        graph.empty_drives.push((since, path.into()));
    }

    pub(crate) fn remove_empty_drive(&self, path: &str) {
        let mut graph = self.graph.lock();
        graph.empty_drives.retain(|(_, known)| &**known != path);
    }

    /// A way to send requests to a node, for a user that is attached to it until the last of them has ended.
    /// `user` is its path.
    pub(crate) fn backend(&self, name: &str, user: &UserPath) -> Result<Backend, Error> {
        let graph = self.graph.lock();
        let io = Arc::clone(&graph.find(name)?.io);
        Ok(Backend::new(io, user))
    }

    /// The size of a node in bytes, if there is such a node.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let graph = self.graph.lock();
        graph.find(name).ok().map(|node| node.io.size())
    }

    /// Whether a node can be written to; `None` if there is no such node.
    pub(crate) fn is_writable(&self, name: &str) -> Option<bool> {
        let graph = self.graph.lock();
        graph.find(name).ok().map(|node| !node.io.is_read_only())
    }
}
