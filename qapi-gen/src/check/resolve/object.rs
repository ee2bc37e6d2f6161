//! Structs and unions.
//!
//! Objects contain others, as bases and as branches, to any depth: what is left to do stands on a
//! stack of its own.

use super::{Inherited, MemberRef, Resolver, State};
use crate::check::draft::{DraftMember, Named};
use crate::check::error::SchemaError;
use crate::check::graph::{DraftVariants, Node, NodeId, NodeKind};
use crate::ir::ObjectKind;
use crate::limits::MAX_BASES;
use crate::source::Span;
use crate::steps::step;

/// What is left to do about an object.
enum Task<'a> {
    /// All, unless it was begun.
    Object(NodeId),
    /// What comes after its base.
    Members(NodeId, Base),
    /// Its branches from this one on.
    Branches(NodeId, &'a DraftVariants, usize),
    /// To compare the names in its branches with its own.
    Clashes(NodeId, &'a DraftVariants),
}

/// The base of an object.
#[derive(Clone, Copy)]
enum Base {
    /// It could not be found out.
    None,
    /// A mistake was reported, and members are missing that the author meant.
    Lost,
    Checked(NodeId),
}

impl<'a> Resolver<'a> {
    /// Checks the object `id`, once; objects that it contains are checked on the way.
    pub(super) fn check_object(&mut self, id: NodeId) {
        if self.states[id] == State::Checked {
            return;
        }
        let mut tasks = vec![Task::Object(id)];
        while let Some(task) = tasks.pop() {
            step();
            match task {
                Task::Object(id) => self.begin_object(id, &mut tasks),
                Task::Members(id, base) => self.check_own(id, base, &mut tasks),
                Task::Branches(id, variants, from) => {
                    self.check_branches(id, variants, from, &mut tasks);
                }
                Task::Clashes(id, variants) => {
                    self.check_clashes(id, &variants.branches);
                    self.states[id] = State::Checked;
                }
            }
        }
    }

    fn begin_object(&mut self, id: NodeId, tasks: &mut Vec<Task<'a>>) {
        let node = self.node(id);
        match self.states[id] {
            State::Checked => return,
            State::Checking => {
                let error = SchemaError::ContainsItself(node.name.to_string());
                return self.error(node, &error, node.place());
            }
            State::Unchecked => self.states[id] = State::Checking,
        }
        self.check_type_features(node);
        let NodeKind::Object { base, .. } = &node.kind else {
            self.states[id] = State::Checked;
            return;
        };
        match base {
            Some(base) => self.begin_base(id, node, base, tasks),
            None => tasks.push(Task::Members(id, Base::None)),
        }
    }

    fn begin_base(&mut self, id: NodeId, node: &Node, base: &Named, tasks: &mut Vec<Task<'a>>) {
        let Some(base_id) = self.lookup(node, base, |_| "'base'".to_owned()) else {
            return tasks.push(Task::Members(id, Base::Lost));
        };
        let base_node = self.node(base_id);
        let NodeKind::Object { variants: None, .. } = base_node.kind else {
            let error = SchemaError::BaseNotStruct(base_node.describe());
            self.error(node, &error, base.span);
            return tasks.push(Task::Members(id, Base::Lost));
        };
        let known = match self.states[base_id] {
            State::Checking => Base::Lost,
            State::Unchecked | State::Checked => Base::Checked(base_id),
        };
        tasks.push(Task::Members(id, known));
        tasks.push(Task::Object(base_id));
    }

    /// Takes over the members of the base, and checks those of the object itself.
    fn check_own(&mut self, id: NodeId, base: Base, tasks: &mut Vec<Task<'a>>) {
        let node = self.node(id);
        let NodeKind::Object {
            members, variants, ..
        } = &node.kind
        else {
            return;
        };
        let has_base = match base {
            Base::None => true,
            Base::Lost => false,
            Base::Checked(base_id) => self.inherit(id, node, base_id),
        };
        self.check_members(id, node, members);
        let inherited = &mut self.inherited[id];
        inherited.n_members += members.len() as u32;
        inherited.is_conditional |= members
            .iter()
            .any(|it| !it.attributes.condition().is_always());
        match variants {
            Some(variants) => {
                self.begin_variants(id, node, variants, has_base);
                tasks.push(Task::Branches(id, variants, 0));
            }
            None => self.states[id] = State::Checked,
        }
    }

    /// Says whether the object has all members of its base.
    fn inherit(&mut self, id: NodeId, node: &Node, base_id: NodeId) -> bool {
        let base = self.inherited[base_id];
        let n_bases = base.n_bases.saturating_add(1);
        if n_bases > MAX_BASES as u32 {
            // Those that inherit from this one have the same mistake.
            self.inherited[id].n_bases = u32::MAX;
            if base.n_bases <= MAX_BASES as u32 {
                let error = SchemaError::BasesTooDeep(MAX_BASES);
                self.error(node, &error, node.place());
            }
            return false;
        }
        self.inherited[id] = Inherited { n_bases, ..base };
        self.resolved.bases.set(id, Some(base_id));
        self.repeat(node, base.n_members as usize);
        !self.node(base_id).is_broken
    }

    /// Counts what `node` has and does not list.
    fn repeat(&mut self, node: &Node, n: usize) {
        self.n_repeated = self.n_repeated.saturating_add(n);
        if self.n_repeated > self.max_repeated {
            let error = SchemaError::TooMuchRepeated(self.max_repeated);
            self.error(node, &error, node.place());
            // Once is enough.
            self.max_repeated = usize::MAX;
        }
    }

    fn check_members(&mut self, id: NodeId, node: &Node, members: &'a [DraftMember]) {
        for (index, member) in members.iter().enumerate() {
            let member_ref = MemberRef { owner: id, index };
            let named = Named {
                name: member.type_ref.full_name(),
                span: member.type_ref.span,
            };
            let type_id = self.lookup(node, &named, |this| this.describe(member_ref, node));
            self.resolved.set_part(id, index, type_id);
            self.check_member_features(node, member);
            if let Some(first) = self.add_member(member_ref) {
                self.report_clash(node, member_ref, first, member.span);
            }
        }
    }

    /// Two members of what becomes one object have names that collide.
    pub(super) fn report_clash(
        &mut self,
        node: &Node,
        member: MemberRef,
        first: MemberRef,
        at: Span,
    ) {
        let ours = self.describe(member, node);
        let theirs = self.describe(first, node);
        let first_span = self.member(first).span;
        self.report_collision(node, ours, at, theirs, first_span);
    }

    /// Checks the discriminator and the names of the branches.
    fn begin_variants(
        &mut self,
        id: NodeId,
        node: &Node,
        variants: &'a DraftVariants,
        has_base: bool,
    ) {
        let tag_type = match &variants.discriminator {
            Some(discriminator) => self.check_discriminator(id, node, discriminator, has_base),
            None => None,
        };
        self.resolved.tags.set(id, tag_type);
        let values = match tag_type.map(|tag| &self.node(tag).kind) {
            Some(NodeKind::Enum { values, .. }) => Some(values),
            Some(_) | None => None,
        };
        // Every value of the discriminator has a branch, if only an empty one.
        let has_values = values.is_none_or(|values| {
            !values.is_empty() || tag_type.is_some_and(|tag| self.node(tag).is_broken)
        });
        if variants.branches.is_empty() && !has_values && !node.is_broken {
            self.error(node, &SchemaError::UnionEmpty, node.place());
        }
        let n_values = values.map_or(0, |values| values.len());
        self.repeat(node, n_values.saturating_sub(variants.branches.len()));
    }

    /// Checks branches up to one whose type has to be checked first.
    fn check_branches(
        &mut self,
        id: NodeId,
        variants: &'a DraftVariants,
        from: usize,
        tasks: &mut Vec<Task<'a>>,
    ) {
        let node = self.node(id);
        let tag_type = self.resolved.tags.get(id);
        for (index, branch) in variants.branches.iter().enumerate().skip(from) {
            step();
            let type_id = self.branch_type(node, branch);
            if let Some(tag_type) = tag_type.filter(|tag| !self.has_value(*tag, &branch.name)) {
                self.report_no_case(node, tag_type, &branch.name, branch.span);
            }
            let Some(type_id) = type_id else { continue };
            let branch_node = self.node(type_id);
            if !matches!(branch_node.kind, NodeKind::Object { .. }) {
                let description = branch_node.describe();
                let error = SchemaError::BranchType(branch.name.to_string(), description);
                self.error(node, &error, branch.type_ref.span);
                continue;
            }
            self.resolved.set_part(id, index, Some(type_id));
            if self.states[type_id] != State::Checked {
                tasks.push(Task::Branches(id, variants, index + 1));
                return tasks.push(Task::Object(type_id));
            }
        }
        // Collisions come after the branches themselves.
        tasks.push(Task::Clashes(id, variants));
    }

    /// Whether the enumeration `tag` has the value `name`; anything else has all.
    fn has_value(&mut self, tag: NodeId, name: &str) -> bool {
        let NodeKind::Enum { values, .. } = &self.node(tag).kind else {
            return true;
        };
        let name_of = |index: usize| Some(values[index].name.as_str());
        let by_name = self.values.entry(tag).or_default();
        by_name.find(name, values.len(), name_of).is_some()
    }

    /// The enumeration that the discriminator is of.
    fn check_discriminator(
        &mut self,
        id: NodeId,
        node: &Node,
        discriminator: &Named,
        has_base: bool,
    ) -> Option<NodeId> {
        let name = discriminator.name.to_string();
        let found = self
            .find_member(id, usize::MAX, &name)
            .filter(|member| self.member(*member).name == *name);
        let Some(member_ref) = found else {
            if has_base && !node.is_broken {
                let members = self.all_members(id);
                let names = members
                    .iter()
                    .map(|member| self.member(*member).name.as_str());
                let help = self
                    .nearest
                    .find(name.trim_start_matches('*'), names)
                    .map(|near| format!("'base' has a member '{near}'"));
                let error = SchemaError::DiscriminatorUnknown(name);
                let diagnostic = self.diagnostic(node, &error, discriminator.span);
                self.report.push(diagnostic.with_help(help));
            }
            return None;
        };
        let owner = self.node(member_ref.owner);
        let base = match &owner.kind {
            NodeKind::Object {
                kind: ObjectKind::Base,
                ..
            } => "'base'".to_owned(),
            _ => format!("base type '{}'", owner.name),
        };
        let member = self.member(member_ref);
        let type_id = self.graph.find(&member.type_ref.full_name())?;
        let error = if !matches!(self.node(type_id).kind, NodeKind::Enum { .. }) {
            SchemaError::DiscriminatorNotEnum { name, base }
        } else if member.optional {
            SchemaError::DiscriminatorOptional { name, base }
        } else if !member.attributes.condition().is_always() {
            SchemaError::DiscriminatorConditional { name, base }
        } else {
            return Some(type_id);
        };
        self.error(node, &error, discriminator.span);
        None
    }

    /// A branch must be a value of the discriminator.
    fn report_no_case(&mut self, node: &Node, tag_type: NodeId, name: &str, span: Span) {
        let tag_node = self.node(tag_type);
        let NodeKind::Enum { values, .. } = &tag_node.kind else {
            return;
        };
        if tag_node.is_broken {
            return;
        }
        let help = self
            .nearest
            .find(name, values.iter().map(|value| value.name.as_str()))
            .map(|near| format!("'{}' has a value '{near}'", tag_node.name));
        let error = SchemaError::BranchUnknown(name.to_owned(), tag_node.describe());
        let diagnostic = self.diagnostic(node, &error, span).with_help(help);
        self.report.push(diagnostic);
    }
}
