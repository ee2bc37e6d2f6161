//! Structs and unions.

use hashbrown::HashSet;

use super::seen::Seen;
use super::{MemberRef, Resolver, State};
use crate::check::draft::{DraftMember, Named};
use crate::check::error::SchemaError;
use crate::check::graph::{DraftVariants, Node, NodeId, NodeKind};
use crate::check::nearest;
use crate::ir::ObjectKind;
use crate::source::Span;

impl<'a> Resolver<'a> {
    /// Checks the object `id`, once; objects that it contains are checked on the way.
    pub(super) fn check_object(&mut self, id: NodeId) {
        let node = self.node(id);
        match self.states[id] {
            State::Checked => return,
            State::Checking => {
                let error = SchemaError::ContainsItself(node.name.clone());
                let span = node.name_span.or(node.span).unwrap_or(Span::new(0, 0));
                return self.error(node, &error, span);
            }
            State::Unchecked => self.states[id] = State::Checking,
        }
        self.check_features(node, &node.features);
        if let NodeKind::Object {
            base,
            members,
            variants,
            ..
        } = &node.kind
        {
            let mut seen = Seen::default();
            let has_base = match base {
                Some(base) => self.check_base(id, node, base, &mut seen),
                None => true,
            };
            self.check_members(id, node, members, &mut seen);
            self.members[id] = seen.members();
            if let Some(variants) = variants {
                self.check_variants(id, node, variants, &mut seen, has_base);
            }
        }
        self.states[id] = State::Checked;
    }

    /// Says whether the base has all its members.
    fn check_base(&mut self, id: NodeId, node: &Node, base: &Named, seen: &mut Seen<'a>) -> bool {
        let Some(base_id) = self.lookup(node, base, |_| "'base'".to_owned()) else {
            return false;
        };
        let base_node = self.node(base_id);
        let NodeKind::Object { variants: None, .. } = base_node.kind else {
            let error = SchemaError::BaseNotStruct(base_node.describe());
            self.error(node, &error, base.span);
            return false;
        };
        let is_cycle = self.states[base_id] == State::Checking;
        self.check_object(base_id);
        if is_cycle {
            return false;
        }
        self.resolved.bases[id] = Some(base_id);
        self.check_clash(node, base_id, seen, base.span);
        !base_node.is_broken
    }

    fn check_members(
        &mut self,
        id: NodeId,
        node: &Node,
        members: &'a [DraftMember],
        seen: &mut Seen<'a>,
    ) {
        for (index, member) in members.iter().enumerate() {
            let member_ref = MemberRef { owner: id, index };
            let named = Named {
                name: member.type_ref.full_name(),
                span: member.type_ref.span,
            };
            let type_id = self.lookup(node, &named, |this| this.describe(member_ref, node));
            self.resolved.types[id].push(type_id);
            self.check_member_features(node, member);
            self.add_member(node, member_ref, seen, member.span);
        }
    }

    /// Adds the members of the object `id`, which was checked, to those of the object at hand.
    fn check_clash(&mut self, node: &Node, id: NodeId, seen: &mut Seen<'a>, at: Span) {
        for member in self.members[id].clone() {
            self.add_member(node, member, seen, at);
        }
    }

    fn add_member(&mut self, node: &Node, member: MemberRef, seen: &mut Seen<'a>, at: Span) {
        let name = &self.draft_member(member).name;
        let Some(first) = seen.insert(name, member) else {
            return;
        };
        let ours = self.describe(member, node);
        let theirs = self.describe(first, node);
        let first_span = self.draft_member(first).span;
        self.report_collision(node, ours, at, theirs, first_span);
    }

    fn check_variants(
        &mut self,
        id: NodeId,
        node: &Node,
        variants: &DraftVariants,
        seen: &mut Seen<'a>,
        has_base: bool,
    ) {
        let tag_type = match &variants.discriminator {
            Some(discriminator) => {
                self.check_discriminator(id, node, discriminator, seen, has_base)
            }
            None => None,
        };
        self.resolved.tags[id] = tag_type;
        // Every value of the discriminator has a branch, if only an empty one.
        let has_values = tag_type.is_none_or(|tag| match &self.node(tag).kind {
            NodeKind::Enum { values, .. } => !values.is_empty() || self.node(tag).is_broken,
            _ => true,
        });
        if variants.branches.is_empty() && !has_values && !node.is_broken {
            let span = node.name_span.or(node.span).unwrap_or(Span::new(0, 0));
            self.error(node, &SchemaError::UnionEmpty, span);
        }
        let cases: HashSet<&str> = match tag_type.map(|tag| &self.node(tag).kind) {
            Some(NodeKind::Enum { values, .. }) => {
                values.iter().map(|value| value.name.as_str()).collect()
            }
            Some(_) | None => HashSet::new(),
        };
        for branch in &variants.branches {
            let type_id = self.branch_type(node, branch);
            self.resolved.types[id].push(None);
            if let Some(tag_type) = tag_type.filter(|_| !cases.contains(&*branch.name)) {
                self.report_no_case(node, tag_type, &branch.name, branch.span);
            }
            let Some(type_id) = type_id else { continue };
            let branch_node = self.node(type_id);
            if !matches!(branch_node.kind, NodeKind::Object { .. }) {
                let description = branch_node.describe();
                let error = SchemaError::BranchType(branch.name.clone(), description);
                self.error(node, &error, branch.type_ref.span);
                continue;
            }
            if let Some(last) = self.resolved.types[id].last_mut() {
                *last = Some(type_id);
            }
            self.check_object(type_id);
        }
        // Collisions come after the branches themselves.
        let types = self.resolved.types[id].clone();
        for (branch, type_id) in variants.branches.iter().zip(types) {
            if let Some(type_id) = type_id {
                self.check_branch_clash(node, type_id, seen, branch.type_ref.span);
            }
        }
    }

    /// The members of one branch do not affect those of another one.
    fn check_branch_clash(&mut self, node: &Node, type_id: NodeId, seen: &mut Seen<'a>, at: Span) {
        // A union that contains itself was reported; its members and branches must not be followed.
        if self.states[type_id] != State::Checked {
            return;
        }
        let mark = seen.mark();
        self.check_clash(node, type_id, seen, at);
        if let NodeKind::Object {
            variants: Some(_), ..
        } = &self.node(type_id).kind
        {
            for inner in self.resolved.types[type_id].clone().into_iter().flatten() {
                self.check_branch_clash(node, inner, seen, at);
            }
        }
        seen.drop_to(mark);
    }

    /// The enumeration that the discriminator is of.
    fn check_discriminator(
        &mut self,
        id: NodeId,
        node: &Node,
        discriminator: &Named,
        seen: &Seen<'a>,
        has_base: bool,
    ) -> Option<NodeId> {
        let name = discriminator.name.clone();
        let found = seen
            .get(&name)
            .filter(|member| self.draft_member(*member).name == name);
        let Some(member_ref) = found else {
            if has_base && !node.is_broken {
                let names = self.members[id]
                    .iter()
                    .map(|member| &self.draft_member(*member).name);
                let help = nearest(name.trim_start_matches('*'), names.map(String::as_str))
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
        let member = self.draft_member(member_ref);
        let type_id = self
            .graph
            .names
            .get(&member.type_ref.full_name())
            .copied()?;
        let error = if !matches!(self.node(type_id).kind, NodeKind::Enum { .. }) {
            SchemaError::DiscriminatorNotEnum { name, base }
        } else if member.optional {
            SchemaError::DiscriminatorOptional { name, base }
        } else if !member.condition.is_always() {
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
        let help = nearest(name, values.iter().map(|value| value.name.as_str()))
            .map(|near| format!("'{}' has a value '{near}'", tag_node.name));
        let error = SchemaError::BranchUnknown(name.to_owned(), tag_node.describe());
        let diagnostic = self.diagnostic(node, &error, span).with_help(help);
        self.report.push(diagnostic);
    }
}
