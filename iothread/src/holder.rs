//! Who holds an IOThread: a kind and a name.
//!
//! Kinds are open. QEMU's are constants of [`HolderKind`] with a function each; a program has [others](crate#holders) by naming them.

use std::fmt;

use crate::sync::Arc;

/// A kind of holder, told from others by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HolderKind(&'static str);

impl HolderKind {
    /// A QOM object, by its canonical path.
    pub const QOM_OBJECT: Self = Self::new("qom-object");
    /// A block node, by its node name.
    pub const BLOCK_NODE: Self = Self::new("block-node");
    /// A block export, by its id.
    pub const BLOCK_EXPORT: Self = Self::new("block-export");
    /// A monitor, by its id or the name it was given for want of one.
    pub const MONITOR: Self = Self::new("monitor");

    /// The kind of that name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for HolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Who holds an IOThread. Clones share the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    kind: HolderKind,
    name: Arc<str>,
}

impl Holder {
    /// The holder of that kind and name.
    pub fn new(kind: HolderKind, name: impl AsRef<str>) -> Self {
        Self {
            kind,
            name: Arc::from(name.as_ref()),
        }
    }

    /// What it is.
    pub fn kind(&self) -> HolderKind {
        self.kind
    }

    /// Which one of its kind.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)
    }
}

/// How many holders of each kind an IOThread has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HolderCounts(Vec<(HolderKind, usize)>);

impl HolderCounts {
    /// The number of holders of one kind.
    pub fn of(&self, kind: HolderKind) -> usize {
        let of_kind = self.0.iter().find(|(other, _)| *other == kind);
        of_kind.map_or(0, |(_, count)| *count)
    }

    /// The number of holders of all kinds.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The kinds of which there are any, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (HolderKind, usize)> {
        self.0.iter().copied().filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, kind: HolderKind) {
        match self.0.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    pub(crate) fn subtract(&mut self, kind: HolderKind) {
        if let Some((_, count)) = self.0.iter_mut().find(|(other, _)| *other == kind) {
            *count -= 1;
        }
    }
}

/// What has happened to a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HolderChangeKind {
    /// It is on record from now on.
    Attached,
    /// Its record is struck out.
    Detached,
}

/// A holder of an IOThread that comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderChange<'a> {
    /// The id of the IOThread.
    pub iothread: &'a str,
    /// Who comes or goes.
    pub holder: &'a Holder,
    /// Which of the two.
    pub kind: HolderChangeKind,
}

/// A QOM object, named by its canonical path.
pub fn qom_object(qom_path: impl AsRef<str>) -> Holder {
    Holder::new(HolderKind::QOM_OBJECT, qom_path)
}

/// A block node, named by its node name.
pub fn block_node(node_name: impl AsRef<str>) -> Holder {
    Holder::new(HolderKind::BLOCK_NODE, node_name)
}

/// A block export, named by its id.
pub fn block_export(export_id: impl AsRef<str>) -> Holder {
    Holder::new(HolderKind::BLOCK_EXPORT, export_id)
}

/// A monitor, named by its id or the name it was given for want of one.
pub fn monitor(monitor_name: impl AsRef<str>) -> Holder {
    Holder::new(HolderKind::MONITOR, monitor_name)
}
