//! Which mandatory members may be absent from what a client receives.

use std::collections::BTreeSet;

use crate::ir::{Branch, Entity, Event, Member, Schema, Type, TypeId, TypeKind, TypeSet};

use super::super::gate::reduce;
use super::super::options::Options;
use super::Presence;

/// Where members are absent and a client does not mind.
pub(super) struct Tolerance<'a> {
    /// Types, events, and both with a member, by name; `*` for all.
    names: &'a BTreeSet<String>,
    /// The types of results and of the data of events.
    received: TypeSet,
    /// The types of the answer to `query-qmp-schema`: any server has to be asked what it is.
    of_introspection: TypeSet,
}

/// What has the members.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    Type(TypeId, &'a Type),
    /// Arguments that are written in place.
    Command,
    /// Data that is written in place.
    Event(&'a Event),
}

/// The command that tells what a server is.
const INTROSPECTION: &str = "query-qmp-schema";

impl<'a> Tolerance<'a> {
    pub(super) fn new(schema: &'a Schema, options: &'a Options) -> Self {
        let is_there = |condition| reduce(condition, &options.configuration).is_some();
        let commands = schema.commands().iter();
        let results = commands
            .filter(|command| is_there(command.condition()))
            .filter_map(|command| command.returns());
        let events = schema.events().iter();
        let data = events
            .filter(|event| is_there(event.condition()))
            .filter_map(|event| event.arguments());
        let answer = match schema.entity(INTROSPECTION) {
            Some(Entity::Command(id)) => schema.command(id).returns(),
            Some(Entity::Include(_) | Entity::Type(_) | Entity::Event(_)) | None => None,
        };
        Self {
            names: &options.tolerated,
            received: values_in(schema, results.chain(data)),
            of_introspection: values_in(schema, answer),
        }
    }

    /// Whether `member` of `holder` may be absent.
    pub(super) fn presence(&self, holder: Holder<'_>, member: &Member) -> Presence {
        if member.is_optional() {
            return Presence::Optional;
        }
        let (name, is_received, is_tolerant) = match holder {
            Holder::Type(id, ty) => (
                ty.name(),
                self.received.contains(id),
                self.of_introspection.contains(id),
            ),
            Holder::Event(event) => (event.name(), true, false),
            Holder::Command => return Presence::Mandatory,
        };
        let is_named = || {
            self.names.contains("*")
                || self.names.contains(name)
                || self.names.contains(&format!("{name}.{}", member.name()))
        };
        if is_tolerant || (is_received && !self.names.is_empty() && is_named()) {
            Presence::Tolerant
        } else {
            Presence::Mandatory
        }
    }

    /// Whether a client receives values of the type.
    pub(super) fn is_received(&self, id: TypeId) -> bool {
        self.received.contains(id)
    }
}

/// The types of all values in values of `roots`. A type that others inherit from is among them only if there are values
/// of its own.
fn values_in(schema: &Schema, roots: impl IntoIterator<Item = TypeId>) -> TypeSet {
    let mut values = TypeSet::default();
    for root in roots {
        values.insert(root);
    }
    // The set is its own queue.
    let mut next = 0;
    while let Some(&id) = values.types().get(next) {
        let kind = schema.ty(id).kind();
        let element = match kind {
            TypeKind::Array(element) => Some(*element),
            TypeKind::Builtin(_)
            | TypeKind::Enum(_)
            | TypeKind::Object(_)
            | TypeKind::Alternate(_) => None,
        };
        let members = schema.members(id).map(Member::type_id);
        let branches = kind.branches().iter().map(Branch::type_id);
        for used in element.into_iter().chain(branches).chain(members) {
            values.insert(used);
        }
        next += 1;
    }
    values
}
