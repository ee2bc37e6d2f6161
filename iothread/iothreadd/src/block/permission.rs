//! Whether what the users of a node do fits together, and the locks that say it to other processes.

use qapi_runtime::Error;

use super::access::{Access, Permission, Permissions};
use super::place::NodeUser;
use super::{Graph, Node};

/// Somebody who would like to use a node.
pub(super) struct Candidate<'a> {
    node: &'a str,
    user: &'a NodeUser,
    access: Access,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(node: &'a str, user: &'a NodeUser, access: Access) -> Self {
        Self { node, user, access }
    }
}

/// One user or parent of a node.
struct Edge {
    description: String,
    role: &'static str,
    access: Access,
    /// When it came.
    since: u64,
}

impl Graph {
    /// What is done with a node from above.
    pub(super) fn access(&self, node: &Node) -> Access {
        self.access_with(node, None)
    }

    /// The same if somebody used it, or one above it, as well.
    fn access_with(&self, node: &Node, new: Option<&Candidate<'_>>) -> Access {
        let edges = self.edges(node, new);
        let accesses = edges.iter().map(|edge| edge.access);
        accesses.fold(Access::default(), Access::union)
    }

    /// Users and parents of a node, the newest first.
    fn edges(&self, node: &Node, new: Option<&Candidate<'_>>) -> Vec<Edge> {
        let users = node.users.iter().map(|attached| Edge {
            description: attached.user.description(),
            role: "root",
            access: attached.access,
            since: attached.since,
        });
        let is_parent = |parent: &&Node| parent.child.as_deref() == Some(&node.name);
        let parents = self.nodes.iter().filter(is_parent).map(|parent| Edge {
            description: format!("node '{}'", parent.name),
            role: "file",
            access: self.access_below(parent, new),
            since: parent.since,
        });
        let new = new.filter(|new| new.node == node.name).map(|new| Edge {
            description: new.user.description(),
            role: "root",
            access: new.access,
            since: u64::MAX,
        });
        let mut edges: Vec<Edge> = users.chain(parents).chain(new).collect();
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.since));
        edges
    }

    /// What a node does with the one that it stands on.
    fn access_below(&self, node: &Node, new: Option<&Candidate<'_>>) -> Access {
        let mut access = self.access_with(node, new);
        if node.io.driver().fixes_size_below() {
            let resize = Permissions::of(&[Permission::Resize]);
            access.unshared = access.unshared.union(resize);
        }
        access
    }

    /// Checks that all users of a node and of those below it fit together, and with them one who is to come.
    pub(super) fn check_access(
        &self,
        name: &str,
        new: Option<&Candidate<'_>>,
    ) -> Result<(), Error> {
        let mut next = Some(name);
        while let Some(name) = next {
            let node = self.find(name)?;
            if node.io.is_read_only() && self.access_with(node, new).used.has(Permission::Write) {
                return Err(Error::generic("Block node is read-only"));
            }
            let edges = self.edges(node, new);
            for (index, owner) in edges.iter().enumerate() {
                for (other_index, other) in edges.iter().enumerate() {
                    let conflict = other.access.used.both(owner.access.unshared);
                    if index != other_index && conflict != Permissions::default() {
                        return Err(Error::generic(format!(
                            "Permission conflict on node '{name}': permissions {conflict} are both required by {} \
                             (uses node '{name}' as '{}' child) and unshared by {} (uses node '{name}' as '{}' \
                             child).",
                            other.description, other.role, owner.description, owner.role
                        )));
                    }
                }
            }
            next = node.child.as_deref();
        }
        Ok(())
    }

    /// Makes the locks on the file below a node what its users need.
    pub(super) fn update_locks(&self, name: &str) -> Result<(), Error> {
        let mut node = self.find(name)?;
        while let Some(child) = node.child.as_deref() {
            node = self.find(child)?;
        }
        node.io.driver().lock(match node.io.is_active() {
            true => self.access(node),
            // An inactive node leaves the file to others.
            false => Access::default(),
        })
    }
}
