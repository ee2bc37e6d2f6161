//! What is there may only use what is there.

use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Header, TypeId, TypeKind};
use crate::source::Span;

use super::{Arguments, Body, Field, Plan};

/// Reports uses of types that the configuration excludes.
pub(super) fn check_references(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for ty in plan.types.iter().flatten() {
        let mut uses = Vec::new();
        match &ty.body {
            Body::Replaced(_) | Body::Enum(..) => {}
            Body::Struct(fields) => uses_of(fields, &mut uses),
            Body::Union(union) => {
                uses_of(&union.fields, &mut uses);
                let payloads = union
                    .branches
                    .iter()
                    .filter_map(|branch| Some((branch.payload?, branch.branch.span())));
                uses.extend(payloads);
            }
            Body::Alternate(branches) => uses.extend(
                branches
                    .iter()
                    .filter_map(|branch| Some((branch.payload?, branch.branch.span()))),
            ),
        }
        check_uses(plan, ty.ty, &uses, &mut errors);
    }
    for command in plan.commands.iter().flatten() {
        let mut uses = Vec::new();
        let span = command.definition.name_span();
        match &command.arguments {
            Arguments::Members(fields) => uses_of(fields, &mut uses),
            Arguments::Type(id) => uses.push((*id, span)),
            Arguments::Raw => {}
        }
        uses.extend(command.definition.returns().map(|id| (id, span)));
        check_uses(plan, command.definition, &uses, &mut errors);
    }
    for event in plan.events.iter().flatten() {
        let mut uses = Vec::new();
        match &event.arguments {
            Arguments::Members(fields) => uses_of(fields, &mut uses),
            Arguments::Type(id) => uses.push((*id, event.definition.name_span())),
            Arguments::Raw => {}
        }
        check_uses(plan, event.definition, &uses, &mut errors);
    }
    errors
}

fn uses_of(fields: &[Field<'_>], uses: &mut Vec<(TypeId, Option<Span>)>) {
    uses.extend(
        fields
            .iter()
            .map(|field| (field.member.type_id(), Some(field.member.span()))),
    );
}

fn check_uses(
    plan: &Plan<'_>,
    user: &Header,
    uses: &[(TypeId, Option<Span>)],
    errors: &mut Vec<Diagnostic>,
) {
    for &(id, span) in uses {
        let mut id = id;
        while let TypeKind::Array(element) = plan.schema.ty(id).kind() {
            id = *element;
        }
        let used = plan.schema.ty(id);
        if !used.is_named() || plan.ty(id).is_some() {
            continue;
        }
        let message = format!(
            "'{}' uses type '{}', which the configuration excludes",
            user.name(),
            used.name()
        );
        let span = span.or(user.name_span());
        errors.push(Diagnostic::new(Code::ConditionExcludes, message, span));
    }
}
