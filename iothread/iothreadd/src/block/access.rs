//! What a user of a node does with it, and what it lets others do.

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

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn both(self, other: Self) -> Self {
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

/// What a user does with a node, and what others may not do meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(super) used: Permissions,
    pub(super) unshared: Permissions,
}

impl Access {
    /// The access of a device with this node, which writes to it if it can.
    pub(super) fn of_device(writes: bool, shares_writing: bool) -> Self {
        let mut access = Self::of_export(writes);
        access.unshared = match shares_writing {
            true => Permissions::default(),
            false => Permissions::of(&[Permission::Write]),
        };
        access
    }

    /// The access of an export, whose clients do not learn of a new size.
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

    /// The access that changes the size of the node.
    pub(super) fn of_resizer() -> Self {
        Self {
            used: Permissions::of(&[Permission::Resize]),
            unshared: Permissions::default(),
        }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self {
            used: self.used.union(other.used),
            unshared: self.unshared.union(other.unshared),
        }
    }
}
