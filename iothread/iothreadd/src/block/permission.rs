//! Whether what the users of a node do fits together, and the locks that say it to other processes.

use qapi_runtime::Error;

use super::access::{Access, Permission, Permissions};
use super::{Graph, Node};

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
        let edges = self.edges(node);
        let accesses = edges.iter().map(|edge| edge.access);
        accesses.fold(Access::default(), Access::union)
    }

    /// Users and parents of a node, the newest first.
    fn edges(&self, node: &Node) -> Vec<Edge> {
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
            access: self.access_below(parent),
            since: parent.since,
        });
        let mut edges: Vec<Edge> = users.chain(parents).collect();
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.since));
        edges
    }

    /// What a node does with the one that it stands on.
    fn access_below(&self, node: &Node) -> Access {
        let mut access = self.access(node);
        if node.io.driver().fixes_size_below() {
            let resize = Permissions::of(&[Permission::Resize]);
            access.unshared = access.unshared.union(resize);
        }
        access
    }

    /// Checks that all users of a node and of those below it fit together.
    pub(super) fn check_access(&self, name: &str) -> Result<(), Error> {
        let mut next = Some(name);
        while let Some(name) = next {
            let node = self.find(name)?;
            if node.io.is_read_only() && self.access(node).used.has(Permission::Write) {
                return Err(Error::generic("Block node is read-only"));
            }
            let edges = self.edges(node);
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
