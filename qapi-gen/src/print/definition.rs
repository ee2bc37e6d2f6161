//! Definitions.

use std::fmt::{self, Write as _};

use super::Quoted;
use crate::ir::{
    Branch, Condition, DefinitionKind, Entity, Feature, Header, Member, Schema, TypeId, TypeKind,
};

/// Prints one definition, each key on a line of its own.
pub(super) fn print(
    out: &mut String,
    schema: &Schema,
    kind: DefinitionKind,
    header: &Header,
    entity: Entity,
) -> fmt::Result {
    let mut keys = vec![format!("'{}': {}", kind.as_str(), Quoted(header.name()))];
    match entity {
        Entity::Include(_) => return Ok(()),
        Entity::Type(id) => type_keys(schema, id, &mut keys),
        Entity::Command(id) => {
            let command = schema.command(id);
            argument_keys(schema, command.arguments(), &mut keys);
            if let Some(returns) = command.returns() {
                keys.push(format!("'returns': {}", type_ref(schema, returns)));
            }
            let flags = [
                ("boxed", true, command.is_boxed()),
                ("gen", false, !command.is_generated()),
                ("success-response", false, !command.has_success_response()),
                ("allow-oob", true, command.allows_oob()),
                ("allow-preconfig", true, command.allows_preconfig()),
                ("coroutine", true, command.is_coroutine()),
            ];
            for (key, value, _) in flags.into_iter().filter(|(_, _, is_set)| *is_set) {
                keys.push(format!("'{key}': {value}"));
            }
        }
        Entity::Event(id) => {
            let event = schema.event(id);
            argument_keys(schema, event.arguments(), &mut keys);
            if event.is_boxed() {
                keys.push("'boxed': true".to_owned());
            }
        }
    }
    keys.extend(modifiers(header.condition(), header.features()));
    writeln!(out, "{{ {} }}", keys.join(",\n  "))
}

fn type_keys(schema: &Schema, id: TypeId, keys: &mut Vec<String>) {
    match schema.ty(id).kind() {
        TypeKind::Builtin(_) | TypeKind::Array(_) => {}
        TypeKind::Enum(values) => {
            let values = values.values().iter().map(|value| {
                let modifiers = modifiers(value.condition(), value.features());
                short_or_long("name", Quoted(value.name()).to_string(), modifiers)
            });
            keys.push(format!("'data': {}", list(values, '[', ']')));
            if let Some(prefix) = enum_prefix(schema, id) {
                keys.push(format!("'prefix': {}", Quoted(prefix)));
            }
        }
        TypeKind::Alternate(alternate) => {
            keys.push(format!(
                "'data': {}",
                branches(schema, alternate.branches())
            ));
        }
        TypeKind::Object(object) => {
            if let Some(base) = object.base() {
                keys.push(format!("'base': {}", members_or_name(schema, base)));
            }
            match object.variants() {
                Some(variants) => {
                    keys.push(format!("'discriminator': {}", Quoted(variants.tag())));
                    keys.push(format!("'data': {}", branches(schema, variants.branches())));
                }
                None => {
                    keys.push(format!(
                        "'data': {}",
                        members(schema, object.local_members())
                    ));
                }
            }
        }
    }
}

fn enum_prefix(schema: &Schema, id: TypeId) -> Option<&str> {
    schema.ty(id).as_enum()?.prefix()
}

fn argument_keys(schema: &Schema, arguments: Option<TypeId>, keys: &mut Vec<String>) {
    if let Some(arguments) = arguments {
        keys.push(format!("'data': {}", members_or_name(schema, arguments)));
    }
}

/// The name of an object type, or its members if they are written in place.
fn members_or_name(schema: &Schema, id: TypeId) -> String {
    let ty = schema.ty(id);
    match ty.as_object() {
        Some(object) if !ty.is_named() => members(schema, object.local_members()),
        Some(_) | None => Quoted(ty.name()).to_string(),
    }
}

fn members(schema: &Schema, members: &[Member]) -> String {
    let members = members.iter().map(|member| {
        let star = if member.is_optional() { "*" } else { "" };
        let modifiers = modifiers(member.condition(), member.features());
        let value = short_or_long("type", type_ref(schema, member.type_id()), modifiers);
        format!("'{star}{}': {value}", member.name())
    });
    list(members, '{', '}')
}

/// The branches that the schema lists.
fn branches(schema: &Schema, branches: &[Branch]) -> String {
    let listed = branches.iter().filter(|branch| branch.span().is_some());
    let branches = listed.map(|branch| {
        let modifiers = modifiers(branch.condition(), &[]);
        let value = short_or_long("type", type_ref(schema, branch.type_id()), modifiers);
        format!("'{}': {value}", branch.name())
    });
    list(branches, '{', '}')
}

fn type_ref(schema: &Schema, id: TypeId) -> String {
    let ty = schema.ty(id);
    match ty.kind() {
        TypeKind::Array(element) => format!("[ {} ]", Quoted(schema.ty(*element).name())),
        TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Object(_) | TypeKind::Alternate(_) => {
            Quoted(ty.name()).to_string()
        }
    }
}

/// `value`, or an object with it and its modifiers.
fn short_or_long(key: &str, value: String, modifiers: Vec<String>) -> String {
    if modifiers.is_empty() {
        return value;
    }
    format!("{{ '{key}': {value}, {} }}", modifiers.join(", "))
}

/// The keys 'if' and 'features', where there is something to say.
fn modifiers(condition: &Condition, features: &[Feature]) -> Vec<String> {
    let mut keys = Vec::new();
    if !condition.is_always() {
        keys.push(format!("'if': {}", condition_value(condition)));
    }
    if !features.is_empty() {
        let features = features.iter().map(|feature| {
            let name = Quoted(feature.name()).to_string();
            short_or_long("name", name, modifiers(feature.condition(), &[]))
        });
        let features: Vec<_> = features.collect();
        keys.push(format!("'features': [ {} ]", features.join(", ")));
    }
    keys
}

fn condition_value(condition: &Condition) -> String {
    let operands = |operands: &[Condition]| {
        let operands: Vec<_> = operands.iter().map(condition_value).collect();
        operands.join(", ")
    };
    match condition {
        // Only a whole condition is absent, and then nothing is printed.
        Condition::Always => String::new(),
        Condition::Name(name) => Quoted(name).to_string(),
        Condition::Not(operand) => format!("{{ 'not': {} }}", condition_value(operand)),
        Condition::All(all) => format!("{{ 'all': [ {} ] }}", operands(all)),
        Condition::Any(any) => format!("{{ 'any': [ {} ] }}", operands(any)),
    }
}

/// Items one below the other.
pub(crate) fn list(items: impl Iterator<Item = String>, open: char, close: char) -> String {
    let items: Vec<_> = items.map(|item| format!("\n    {item}")).collect();
    if items.is_empty() {
        format!("{open}{close}")
    } else {
        format!("{open}{} {close}", items.join(","))
    }
}
