//! What a schema has for nothing.

use std::collections::HashSet;

use super::{Findings, definitions, parts};
use crate::ir::{Entity, Schema, TypeId, TypeKind};

/// Every type is part of the interface: a command or an event uses it, if only by way of others.
pub(super) fn check_types(schema: &Schema, findings: &mut Findings<'_>) {
    let reached = reached_types(schema);
    for defined in definitions(schema) {
        let Entity::Type(id) = defined.entity else {
            continue;
        };
        if !reached.contains(&id) {
            let message = format!(
                "no command and no event uses type '{}'",
                defined.header.name()
            );
            findings.push(message, defined.name_span, defined.context());
        }
    }
}

fn reached_types(schema: &Schema) -> HashSet<TypeId> {
    let mut open: Vec<TypeId> = Vec::new();
    for command in schema.commands() {
        open.extend(command.arguments().into_iter().chain(command.returns()));
    }
    open.extend(schema.events().iter().filter_map(|event| event.arguments()));
    let mut reached = HashSet::new();
    while let Some(id) = open.pop() {
        if !reached.insert(id) {
            continue;
        }
        match schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Enum(_) => {}
            TypeKind::Array(element) => open.push(*element),
            TypeKind::Alternate(alternate) => {
                open.extend(alternate.branches().iter().map(|branch| branch.type_id()));
            }
            TypeKind::Object(object) => {
                open.extend(object.base());
                open.extend(object.local_members().iter().map(|member| member.type_id()));
                if let Some(variants) = object.variants() {
                    open.push(variants.tag_type());
                    open.extend(variants.branches().iter().map(|branch| branch.type_id()));
                }
            }
        }
    }
    reached
}

/// A member is only there when its definition is, so it need not repeat that one's condition.
pub(super) fn check_conditions(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in definitions(schema) {
        let outer = defined.header.condition();
        if outer.is_always() {
            continue;
        }
        for part in parts(schema, &defined) {
            if part.condition == outer {
                let message = format!(
                    "{} '{}' repeats the condition of its {}",
                    part.role,
                    part.name,
                    defined.kind.as_str()
                );
                findings.push(message, part.span, defined.context());
            }
        }
    }
}
