//! What a schema or the options ask for and Rust cannot have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::diagnostic::{Code, Diagnostic, Related};
use crate::ir::{Condition, Entity, Schema, TypeKind};
use crate::source::Span;

use super::super::gate::default_feature;
use super::{Plan, Planner, open_names};

impl Planner<'_> {
    /// Reports names of one namespace that become one Rust name. There are `n`; `name` gives the Rust name, that of the
    /// schema and its place.
    pub(super) fn check_distinct<'n>(
        &mut self,
        what: &str,
        n: usize,
        name: impl Fn(usize) -> (Cow<'n, str>, &'n str, Option<Span>),
    ) {
        let hasher = DefaultHashBuilder::default();
        let hash = |index: &u32| hasher.hash_one(&*name(*index as usize).0);
        let mut seen: HashTable<u32> = HashTable::with_capacity(n);
        for index in 0..n {
            let (rust, name_here, span) = name(index);
            // A schema has fewer names than bytes, which fit 32 bits.
            let own = index as u32;
            let is_same = |other: &u32| name(*other as usize).0 == rust;
            let first = match seen.entry(hasher.hash_one(&*rust), is_same, hash) {
                Entry::Occupied(first) => *first.get(),
                Entry::Vacant(free) => {
                    free.insert(own);
                    continue;
                }
            };
            let (_, first, first_span) = name(first as usize);
            let name = name_here;
            let message =
                format!("{what} '{name}' and {what} '{first}' both become '{rust}' in Rust");
            let mut error = Diagnostic::new(Code::RustNameCollision, message, span);
            if let Some(span) = first_span {
                let message = format!("{what} '{first}'");
                error = error.with_related(Related {
                    span,
                    message,
                    line: None,
                    definition: None,
                });
            }
            self.errors.push(error);
        }
    }

    /// Options that name something must name something there is.
    pub(super) fn check_options(&mut self) {
        let is_type = |name: &str| {
            let mut named = self.schema.types().filter(|(_, ty)| ty.is_named());
            named.any(|(_, ty)| ty.name() == name)
        };
        let is_definition = |name: &str| is_type(name) || self.schema.entity(name).is_some();
        let is_part = |name: &str| {
            let mut dots = name.match_indices('.');
            dots.any(|(at, _)| has_part(self.schema, &name[..at], &name[at + 1..]))
        };
        let options = self.options;
        let mut unknown: Vec<(&str, &String)> = Vec::new();
        unknown.extend(
            options
                .replacements
                .keys()
                .filter(|name| !is_type(name))
                .map(|name| ("replace", name)),
        );
        unknown.extend(
            options
                .attributes
                .keys()
                .filter(|name| !is_definition(name) && !is_part(name))
                .map(|name| ("attributes", name)),
        );
        let mut messages: Vec<String> = Vec::new();
        for name in options.tolerated.iter().filter(|name| *name != "*") {
            let holder = name.split_once('.').map_or(&**name, |(holder, _)| holder);
            if !(is_definition(name) || is_part(name)) {
                unknown.push(("tolerate", name));
            } else if !self.is_received(holder) {
                messages.push(format!(
                    "option 'tolerate' names '{name}', which is part of no result and no event"
                ));
            }
        }
        for (option, name) in unknown {
            messages.push(format!(
                "option '{option}' names '{name}', which the schema does not have"
            ));
        }
        for message in messages {
            self.errors
                .push(Diagnostic::new(Code::OptionNamesNothing, message, None));
        }
    }

    /// Whether a client receives values of the type, or it is an event.
    fn is_received(&self, name: &str) -> bool {
        match self.schema.entity(name) {
            Some(Entity::Type(id)) => self.tolerance.is_received(id),
            Some(Entity::Event(_)) => true,
            Some(Entity::Command(_) | Entity::Include(_)) | None => false,
        }
    }
}

/// Reports conditions that would become one Cargo feature.
pub(super) fn check_features(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut errors = Vec::new();
    let mut uses = None;
    for name in open_names(plan) {
        if plan.options.mapping.predicates.contains_key(name) {
            continue;
        }
        let feature = default_feature(name);
        let Some(first) = seen.get(&feature).copied() else {
            seen.insert(feature, name);
            continue;
        };
        let message = format!(
            "condition '{name}' and condition '{first}' both become the feature '{feature}'"
        );
        let uses = uses.get_or_insert_with(|| first_uses(plan.schema));
        let code = Code::RustNameCollision;
        let mut error = Diagnostic::new(code, message, uses.get(name).copied());
        if let Some(span) = uses.get(first).copied() {
            error = error.with_related(Related {
                span,
                message: format!("condition '{first}'"),
                line: None,
                definition: None,
            });
        }
        errors.push(error);
    }
    errors
}

/// For each name in conditions the first definition that uses it.
fn first_uses(schema: &Schema) -> HashMap<&str, Span> {
    let mut uses = HashMap::new();
    for definition in schema.definitions() {
        for name in definition.conditions().flat_map(Condition::names) {
            uses.entry(name).or_insert(definition.name_span());
        }
    }
    uses
}

/// Whether the definition has a member, value or branch of this name.
fn has_part(schema: &Schema, definition: &str, part: &str) -> bool {
    let is_member = |id| schema.members(id).any(|member| member.name() == part);
    match schema.entity(definition) {
        None | Some(Entity::Include(_)) => false,
        Some(Entity::Command(id)) => schema.command(id).arguments().is_some_and(is_member),
        Some(Entity::Event(id)) => schema.event(id).arguments().is_some_and(is_member),
        Some(Entity::Type(id)) => match schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => false,
            TypeKind::Enum(values) => values.values().iter().any(|value| value.name() == part),
            TypeKind::Object(object) => {
                let branches = object.branches();
                is_member(id) || branches.iter().any(|branch| branch.name() == part)
            }
            TypeKind::Alternate(alternate) => alternate
                .branches()
                .iter()
                .any(|branch| branch.name() == part),
        },
    }
}
