//! Names in the branches of a union against those of the union.
//!
//! A branch may be a union in its turn, and the same type may be a branch of many. Whatever is below
//! a branch was compared with each other when that was checked, so only the union's own names are
//! left to be compared with all that its branches lead to, each type once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};

use super::{MemberRef, Resolver, State};
use crate::check::draft::DraftBranch;
use crate::check::error::SchemaError;
use crate::check::graph::{Graph, Node, NodeId, NodeKind};
use crate::naming::collision_key;
use crate::source::Span;
use crate::steps::step;

/// The names of unions may be compared this often with those of types below their branches, all
/// together; and [`COMPARED_PER_LISTED`] times more for everything that a schema lists.
const MAX_COMPARED: usize = 100_000;

/// See [`MAX_COMPARED`].
const COMPARED_PER_LISTED: usize = 16;

/// Up to this many members are rather compared again than remembered.
const FEW: usize = 4;

/// What is known about names.
#[derive(Default)]
pub(super) struct Clashes {
    /// Whether two objects have members of one name, both without their bases.
    overlaps: HashMap<(NodeId, NodeId), bool>,
    /// How common names are, once a union is a branch.
    owners: Option<Owners>,
    n_compared: usize,
    /// A mistake was reported, that nothing more is compared.
    is_over: bool,
}

/// Who has a name that might be met below a branch.
struct Owners {
    /// The number of objects that are branches, or bases of such, by the hash of a member's name. Names of one hash
    /// are rather compared for nothing than kept.
    n_by_hash: HashMap<u64, u32>,
    hasher: DefaultHashBuilder,
    is_below: Vec<bool>,
    /// How often an object is a base or a branch.
    n_uses: Vec<u32>,
    max_compared: usize,
}

impl<'a> Resolver<'a> {
    /// The members of one branch do not affect those of another one.
    pub(super) fn check_clashes(&mut self, id: NodeId, branches: &[DraftBranch]) {
        let node = self.node(id);
        let types: Vec<Option<NodeId>> = self.resolved.parts(id, node).collect();
        // A union that contains itself was reported; its members and branches must not be followed.
        let of = types.iter().zip(branches);
        let of: Vec<(NodeId, Span)> = of
            .filter_map(|(type_id, branch)| Some(((*type_id)?, branch.type_ref.span)))
            .filter(|(type_id, _)| self.states[*type_id] == State::Checked)
            .collect();
        let is_flat = of.iter().all(|(type_id, _)| !self.is_union(*type_id));
        if is_flat {
            let mut seen = HashSet::new();
            for (type_id, at) in of {
                step();
                if seen.insert(type_id) && self.overlap(id, type_id) {
                    self.report_clashes(node, id, type_id, at);
                }
            }
        } else if !self.clashes.is_over {
            self.check_below(node, id, &of);
        }
    }

    fn is_union(&self, id: NodeId) -> bool {
        matches!(
            self.node(id).kind,
            NodeKind::Object {
                variants: Some(_),
                ..
            }
        )
    }

    /// Whether two objects have members of one name, those of their bases included.
    fn overlap(&mut self, left: NodeId, right: NodeId) -> bool {
        let lefts: Vec<NodeId> = self.ancestors(left).collect();
        let rights: Vec<NodeId> = self.ancestors(right).collect();
        lefts
            .iter()
            .any(|left| rights.iter().any(|right| self.own_overlap(*left, *right)))
    }

    fn own_overlap(&mut self, left: NodeId, right: NodeId) -> bool {
        let (mut few, mut many) = (left, right);
        if self.own_members(few).len() > self.own_members(many).len() {
            std::mem::swap(&mut few, &mut many);
        }
        let members = self.own_members(few);
        let is_remembered = members.len() > FEW;
        if is_remembered && let Some(known) = self.clashes.overlaps.get(&(few, many)) {
            return *known;
        }
        let overlaps = members
            .iter()
            .any(|member| self.has_own(many, &member.name));
        if is_remembered {
            self.clashes.overlaps.insert((few, many), overlaps);
        }
        overlaps
    }

    /// Reports every member of `type_id` that collides with one of the union `id`.
    fn report_clashes(&mut self, node: &Node, id: NodeId, type_id: NodeId, at: Span) {
        let (of_union, of_branch) = (self.inherited[id], self.inherited[type_id]);
        let mut clashes: Vec<(MemberRef, MemberRef)> = Vec::new();
        if of_branch.n_members <= of_union.n_members {
            for member in self.all_members(type_id) {
                let name = &self.member(member).name;
                let first = self.find_member(id, usize::MAX, name);
                clashes.extend(first.map(|first| (member, first)));
            }
        } else {
            for first in self.all_members(id) {
                let name = &self.member(first).name;
                let member = self.find_member(type_id, usize::MAX, name);
                clashes.extend(member.map(|member| (member, first)));
            }
            let owners: Vec<NodeId> = self.ancestors(type_id).collect();
            // The members of bases come first.
            let place = |owner| owners.iter().rev().position(|known| *known == owner);
            clashes.sort_by_key(|(member, _)| (place(member.owner), member.index));
        }
        for (member, first) in clashes {
            self.report_clash(node, member, first, at);
            if self.report.is_full() {
                // It is counted, and shown no more.
                return;
            }
        }
    }

    /// Compares the names of the union `id` with those of all types that its branches lead to.
    fn check_below(&mut self, node: &Node, id: NodeId, branches: &[(NodeId, Span)]) {
        if self.clashes.owners.is_none() {
            self.clashes.owners = Some(Owners::of(self.graph));
        }
        let names: Vec<MemberRef> = self
            .all_members(id)
            .into_iter()
            .filter(|member| self.may_be_below(id, *member))
            .collect();
        if names.is_empty() {
            return;
        }
        let mut seen = HashSet::new();
        for &(branch, at) in branches {
            let mut open = vec![branch];
            while let Some(type_id) = open.pop() {
                if self.states[type_id] != State::Checked || !seen.insert(type_id) {
                    continue;
                }
                if !self.may_compare(node, names.len()) {
                    return;
                }
                let has_clash = names.iter().any(|member| {
                    let name = &self.member(*member).name;
                    self.find_member(type_id, usize::MAX, name).is_some()
                });
                if has_clash {
                    self.report_clashes(node, id, type_id, at);
                }
                if self.is_union(type_id) {
                    let parts = self.resolved.parts(type_id, self.node(type_id));
                    open.extend(parts.rev().flatten());
                }
            }
        }
    }

    /// Whether a type other than the union `id` may have a member called like this one of it.
    fn may_be_below(&self, id: NodeId, member: MemberRef) -> bool {
        let Some(owners) = &self.clashes.owners else {
            return true;
        };
        let hash = owners.hash(&self.member(member).name);
        let n_owners = owners.n_by_hash.get(&hash).copied().unwrap_or(0);
        if n_owners > u32::from(owners.is_below[member.owner]) {
            return true;
        }
        // Another type may have it from the same base.
        let mut bases = self.ancestors(id).skip(1);
        let mut is_shared = false;
        bases.any(|base| {
            step();
            is_shared |= owners.n_uses[base] > 1;
            base == member.owner
        }) && is_shared
    }

    fn may_compare(&mut self, node: &Node, n: usize) -> bool {
        let Some(owners) = &self.clashes.owners else {
            return false;
        };
        self.clashes.n_compared += n;
        if self.clashes.n_compared > owners.max_compared {
            let error = SchemaError::BranchesTooEntangled(owners.max_compared);
            self.error(node, &error, node.place());
            self.clashes.is_over = true;
        }
        !self.clashes.is_over
    }
}

impl Owners {
    fn of(graph: &Graph) -> Self {
        let n = graph.nodes.len();
        let mut is_below = vec![false; n];
        let mut n_uses = vec![0_u32; n];
        let mut n_listed = 0;
        let id_of = |name: &str| graph.find(name);
        let base_of = |id: NodeId| match &graph.nodes[id].kind {
            NodeKind::Object { base, .. } => base.as_ref().and_then(|base| id_of(&base.name)),
            NodeKind::Include(_)
            | NodeKind::Builtin(_)
            | NodeKind::Enum { .. }
            | NodeKind::Array { .. }
            | NodeKind::Alternate { .. }
            | NodeKind::Command { .. }
            | NodeKind::Event { .. } => None,
        };
        for (id, node) in graph.nodes.iter().enumerate() {
            step();
            let NodeKind::Object {
                members, variants, ..
            } = &node.kind
            else {
                continue;
            };
            n_listed += 1 + members.len();
            if let Some(base) = base_of(id) {
                n_uses[base] += 1;
            }
            for branch in variants.iter().flat_map(|it| it.branches.iter()) {
                n_listed += 1;
                let Some(branch) = id_of(&branch.type_ref.full_name()) else {
                    continue;
                };
                n_uses[branch] += 1;
                let mut next = Some(branch);
                // What is below already has its bases there.
                while let Some(id) = next.filter(|id| !is_below[*id]) {
                    is_below[id] = true;
                    next = base_of(id);
                }
            }
        }
        let mut owners = Self {
            n_by_hash: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
            is_below: Vec::new(),
            n_uses,
            max_compared: MAX_COMPARED + COMPARED_PER_LISTED * n_listed,
        };
        for (node, is_below) in graph.nodes.iter().zip(&is_below) {
            let NodeKind::Object { members, .. } = &node.kind else {
                continue;
            };
            for member in members.iter().filter(|_| *is_below) {
                let hash = owners.hash(&member.name);
                *owners.n_by_hash.entry(hash).or_default() += 1;
            }
        }
        owners.is_below = is_below;
        owners
    }

    /// Equal for names that collide.
    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(&*collision_key(name))
    }
}
