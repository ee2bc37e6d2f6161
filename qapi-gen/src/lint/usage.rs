//! What a schema has and does not use.

use super::findings::{Findings, context};
use crate::ir::{Entity, Schema};

/// Every type is part of the interface: a command or an event uses it, if only by way of others.
pub(super) fn check_types(schema: &Schema, findings: &mut Findings<'_>) {
    let reached = schema.interface_types();
    for defined in schema.definitions() {
        let Entity::Type(id) = defined.entity() else {
            continue;
        };
        if !reached.contains(id) {
            let message = format!("no command and no event uses type '{}'", defined.name());
            findings.push(message, defined.name_span(), context(&defined));
        }
    }
}

/// A member is only there when its definition is, so it need not repeat that one's condition.
pub(super) fn check_conditions(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema.definitions() {
        let outer = defined.header().condition();
        if outer.is_always() {
            continue;
        }
        for part in defined.parts() {
            if part.condition() == outer {
                let message = format!(
                    "{} '{}' repeats the condition of its {}",
                    part.role().as_str(),
                    part.name(),
                    defined.kind().as_str()
                );
                findings.push(message, part.span(), context(&defined));
            }
        }
    }
}
