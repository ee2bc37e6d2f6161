//! What the users of a node do with it, what they let others do, and whether that fits together.

use qapi_runtime::Error;

use super::driver::Driver;
use super::{Graph, Node};

/// Something that can be done with a node. The numbers are those of the locks on images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Read,
    Write,
    Resize,
}

impl Permission {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Resize];

    pub(super) fn number(self) -> u64 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Resize => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "consistent read",
            Self::Write => "write",
            Self::Resize => "resize",
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Permissions(u8);

impl Permissions {
    pub(super) fn of(permissions: &[Permission]) -> Self {
        let bit = |permission: &Permission| 1_u8 << permission.number();
        Self(permissions.iter().map(bit).fold(0, |all, bit| all | bit))
    }

    pub(super) fn has(self, permission: Permission) -> bool {
        self.0 & 1 << permission.number() != 0
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl std::fmt::Display for Permissions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for permission in Permission::ALL.into_iter().filter(|it| self.has(*it)) {
            write!(f, "{separator}'{}'", permission.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

/// What somebody does with a node, and what nobody else may do meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(super) used: Permissions,
    pub(super) unshared: Permissions,
}

impl Access {
    /// Of a device with this node, which writes to it if it can.
    pub(super) fn of_device(writes: bool, shares_writing: bool) -> Self {
        let mut access = Self::of_export(writes);
        access.unshared = match shares_writing {
            true => Permissions::default(),
            false => Permissions::of(&[Permission::Write]),
        };
        access
    }

    /// Of an export, whose clients do not learn of a new size.
    pub(super) fn of_export(writes: bool) -> Self {
        let used: &[Permission] = match writes {
            true => &[Permission::Read, Permission::Write],
            false => &[Permission::Read],
        };
        Self {
            used: Permissions::of(used),
            unshared: Permissions::of(&[Permission::Resize]),
        }
    }

    /// Of who gives it another size.
    pub(super) fn of_resizer() -> Self {
        Self {
            used: Permissions::of(&[Permission::Resize]),
            unshared: Permissions::default(),
        }
    }

    fn union(self, other: Self) -> Self {
        Self {
            used: self.used.union(other.used),
            unshared: self.unshared.union(other.unshared),
        }
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
        match node.io.driver() {
            Driver::Raw(raw) if raw.is_bounded() => {
                let resize = Permissions::of(&[Permission::Resize]);
                access.unshared = access.unshared.union(resize);
            }
            Driver::Raw(_) | Driver::Null(_) | Driver::File(_) => {}
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
        match node.io.driver() {
            Driver::File(file) if node.io.is_active() => file.lock(self.access(node)),
            // An inactive node leaves the file to others.
            Driver::File(file) => file.lock(Access::default()),
            Driver::Null(_) | Driver::Raw(_) => Ok(()),
        }
    }
}
