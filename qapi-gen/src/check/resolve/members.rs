//! The members of objects, by the names in which they collide.
//!
//! An object has its own members and those of its bases. They are found by going from base to
//! base, so that what many objects inherit is in memory once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::{MemberRef, Resolver};
use crate::check::draft::DraftMember;
use crate::check::graph::{NodeId, NodeKind};
use crate::naming::{collide, collision_key};
use crate::steps::step;

/// Up to this many members a scan is faster than a table.
const FEW: usize = 24;

/// Which members collided, and tables of those of large objects.
#[derive(Default)]
pub(super) struct Tables {
    by_key: HashMap<NodeId, HashTable<u32>>,
    hasher: DefaultHashBuilder,
    /// Members that collide with one before them, which has the name.
    lost: HashSet<MemberRef>,
}

impl Tables {
    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(&*collision_key(name))
    }

    /// Adds a member to the table of its owner, whose members these are.
    fn insert(&mut self, members: &[DraftMember], member: MemberRef) {
        let MemberRef { owner, index } = member;
        let hash = self.hash(&members[index].name);
        let Self { by_key, hasher, .. } = self;
        if let Some(table) = by_key.get_mut(&owner) {
            let rehash =
                |index: &u32| hasher.hash_one(&*collision_key(&members[*index as usize].name));
            // A schema has fewer members than bytes, which fit 32 bits.
            table.insert_unique(hash, index as u32, rehash);
        }
    }
}

impl<'a> Resolver<'a> {
    /// The members that the object `id` lists itself.
    pub(super) fn own_members(&self, id: NodeId) -> &'a [DraftMember] {
        match &self.node(id).kind {
            NodeKind::Object { members, .. } => members,
            NodeKind::Include(_)
            | NodeKind::Builtin(_)
            | NodeKind::Enum { .. }
            | NodeKind::Array { .. }
            | NodeKind::Alternate { .. }
            | NodeKind::Command { .. }
            | NodeKind::Event { .. } => &[],
        }
    }

    /// The member that is meant, which one of these functions has named.
    pub(super) fn member(&self, member: MemberRef) -> &'a DraftMember {
        &self.own_members(member.owner)[member.index]
    }

    /// The object `id`, its base, the base of that, and so on.
    pub(super) fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'_, 'a> {
        std::iter::successors(Some(id), |id| self.resolved.bases.get(*id))
    }

    /// The member of the object `id` or of its bases that collides with `name`, among those whose
    /// turn was before: of the object itself the first `n_own`.
    pub(super) fn find_member(&self, id: NodeId, n_own: usize, name: &str) -> Option<MemberRef> {
        let mut hash = None;
        let base = self.resolved.bases.get(id);
        let own = self.find_own(id, n_own, name, &mut hash);
        own.or_else(|| {
            let mut bases = base.into_iter().flat_map(|base| self.ancestors(base));
            bases.find_map(|id| self.find_own(id, usize::MAX, name, &mut hash))
        })
    }

    /// Whether the object `id` lists a member that collides with `name`.
    pub(super) fn has_own(&self, id: NodeId, name: &str) -> bool {
        self.find_own(id, usize::MAX, name, &mut None).is_some()
    }

    fn find_own(
        &self,
        id: NodeId,
        n_own: usize,
        name: &str,
        hash: &mut Option<u64>,
    ) -> Option<MemberRef> {
        step();
        let member_ref = |index| MemberRef { owner: id, index };
        let members = self.own_members(id);
        if let Some(table) = self.tables.by_key.get(&id) {
            let hash = hash.get_or_insert_with(|| self.tables.hash(name));
            let found = table.find(*hash, |index| collide(&members[*index as usize].name, name));
            return found.map(|index| member_ref(*index as usize));
        }
        let found = members.iter().take(n_own).enumerate().find(|(_, member)| {
            step();
            collide(&member.name, name)
        })?;
        // The first one of a name is never lost to its own kind, but may be to a base's.
        let found = member_ref(found.0);
        (!self.tables.lost.contains(&found)).then_some(found)
    }

    /// Adds a member of the object that is being checked, or gives the one that it collides with.
    pub(super) fn add_member(&mut self, member: MemberRef) -> Option<MemberRef> {
        let MemberRef { owner, index } = member;
        let own = self.own_members(owner);
        let name = &own[index].name;
        let is_large = own.len() > FEW;
        if is_large && index == 0 {
            let table = HashTable::with_capacity(own.len());
            self.tables.by_key.insert(owner, table);
        }
        if let Some(first) = self.find_member(owner, index, name) {
            self.tables.lost.insert(member);
            return Some(first);
        }
        if is_large {
            self.tables.insert(own, member);
        }
        None
    }

    /// All members of the object `id` that have a name of their own, those of its bases first.
    pub(super) fn all_members(&self, id: NodeId) -> Vec<MemberRef> {
        let owners: Vec<NodeId> = self.ancestors(id).collect();
        let mut all = Vec::new();
        for owner in owners.into_iter().rev() {
            let members = 0..self.own_members(owner).len();
            let members = members.map(|index| MemberRef { owner, index });
            all.extend(members.filter(|member| !self.tables.lost.contains(member)));
        }
        all
    }
}
