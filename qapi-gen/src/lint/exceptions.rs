//! Exceptions that nothing needs.

use super::findings::Findings;
use super::names::is_unusual;
use crate::ir::{
    DefinitionKind, Entity, Exception, ExceptionKind, Part, PartRole, Schema, TypeId, TypeKind,
};

/// An exception hides the next mistake: one that is not needed should go.
pub(super) fn check(schema: &Schema, findings: &mut Findings<'_>) {
    for exception in schema.pragmas().exceptions() {
        let name = exception.name();
        if !is_needed(schema, exception) {
            let message = format!("'{name}' needs no place in '{}'", exception.kind().as_str());
            findings.push(message, exception.span(), None);
        }
    }
}

fn is_needed(schema: &Schema, exception: &Exception) -> bool {
    let entity = schema.entity(exception.name());
    let Some(defined) = entity.and_then(|entity| schema.definition(entity)) else {
        return false;
    };
    let is_command = defined.kind() == DefinitionKind::Command;
    match exception.kind() {
        ExceptionKind::CommandName => is_command && is_unusual(defined.name()),
        ExceptionKind::CommandReturns => match defined.entity() {
            Entity::Command(id) => {
                let returns = schema.command(id).returns();
                returns.is_some_and(|returns| !is_object(schema, returns))
            }
            Entity::Include(_) | Entity::Type(_) | Entity::Event(_) => false,
        },
        ExceptionKind::Documentation => {
            let Some(doc) = defined.header().doc() else {
                return false;
            };
            let undocumented = |part: &Part<'_>| {
                let section = schema.doc(doc).member(part.name());
                section.is_none_or(|section| section.span().is_none())
            };
            let mut parts = defined.parts();
            // A union's branches are documented with their types.
            parts.any(|part| {
                (part.role() != PartRole::Branch || defined.kind() == DefinitionKind::Alternate)
                    && undocumented(&part)
            })
        }
        ExceptionKind::MemberName => {
            // It holds for the members of types only.
            let is_type = matches!(defined.entity(), Entity::Type(_));
            is_type && defined.parts().any(|part| is_unusual(part.name()))
        }
    }
}

fn is_object(schema: &Schema, id: TypeId) -> bool {
    match schema.ty(id).kind() {
        TypeKind::Object(_) => true,
        TypeKind::Array(element) => matches!(schema.ty(*element).kind(), TypeKind::Object(_)),
        TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Alternate(_) => false,
    }
}
