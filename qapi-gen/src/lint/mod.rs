//! Rules of style that the reference lacks. Each is off until a level is set for it.
//!
//! A lint looks at a checked schema, so it never meets one of its mistakes. The two rules of
//! style that the reference knows are checked while comments are read.

mod documentation;
mod example;
mod exceptions;
mod markup;
mod names;
mod usage;

use crate::diagnostic::{Code, Definition, Diagnostic, Level, Lint, LintLevels, Report};
use crate::ir::{DefinitionKind, Entity, Header, ObjectKind, Schema, TypeKind};
use crate::source::Span;

/// A lint: what it is called, and what looks for it.
type Check = fn(&Schema, &mut Findings<'_>);

const CHECKS: [(Lint, Check); 11] = [
    (Lint::UnusedType, usage::check_types),
    (Lint::MissingSince, documentation::check_since),
    (Lint::NameUnderscore, names::check_style),
    (Lint::UnstableWithoutFeature, names::check_unstable),
    (Lint::UnusedException, exceptions::check),
    (Lint::MissingDocumentation, documentation::check_presence),
    (Lint::OpenTodo, documentation::check_todo),
    (Lint::RedundantCondition, usage::check_conditions),
    (Lint::DocMarkup, markup::check_markup),
    (Lint::DocReference, markup::check_references),
    (Lint::DocExample, example::check),
];

/// Whether any lint would look at a schema.
pub(crate) fn is_enabled(levels: &LintLevels) -> bool {
    CHECKS
        .iter()
        .any(|(lint, _)| levels.level(*lint) > Level::Allow)
}

/// Runs every lint that is wanted.
pub(crate) fn check(schema: &Schema, report: &mut Report) {
    for (lint, check) in CHECKS {
        if report.wants(lint) {
            check(schema, &mut Findings { lint, report });
        }
    }
}

/// Where a lint reports.
struct Findings<'r> {
    lint: Lint,
    report: &'r mut Report,
}

impl Findings<'_> {
    /// Reports `message` at `span`, inside of a definition or outside of all.
    fn push(&mut self, message: String, span: Span, definition: Option<Definition>) {
        let diagnostic =
            Diagnostic::new(Code::Lint(self.lint), message, span).in_definition(definition);
        self.report.lint(self.lint, diagnostic);
    }
}

/// A definition that the schema's author wrote.
#[derive(Clone, Copy)]
struct Defined<'s> {
    kind: DefinitionKind,
    header: &'s Header,
    entity: Entity,
    name_span: Span,
}

impl Defined<'_> {
    fn context(&self) -> Option<Definition> {
        Some(Definition {
            kind: self.kind.as_str(),
            name: self.header.name().to_owned(),
        })
    }
}

/// Every definition in order.
fn definitions(schema: &Schema) -> impl Iterator<Item = Defined<'_>> {
    schema.entities().iter().filter_map(|&entity| {
        let (kind, header): (_, &Header) = match entity {
            Entity::Include(_) => return None,
            Entity::Command(id) => (DefinitionKind::Command, schema.command(id)),
            Entity::Event(id) => (DefinitionKind::Event, schema.event(id)),
            Entity::Type(id) => {
                let ty = schema.ty(id);
                let kind = match ty.kind() {
                    TypeKind::Enum(_) => DefinitionKind::Enum,
                    TypeKind::Alternate(_) => DefinitionKind::Alternate,
                    TypeKind::Object(object) => match object.kind() {
                        ObjectKind::Struct => DefinitionKind::Struct,
                        ObjectKind::Union => DefinitionKind::Union,
                        ObjectKind::Empty | ObjectKind::Arguments | ObjectKind::Base => {
                            return None;
                        }
                    },
                    TypeKind::Builtin(_) | TypeKind::Array(_) => return None,
                };
                (kind, ty)
            }
        };
        Some(Defined {
            kind,
            header,
            entity,
            name_span: header.name_span()?,
        })
    })
}

/// What a definition lists: members, values, branches.
struct Part<'s> {
    role: &'static str,
    name: &'s str,
    span: Span,
    condition: &'s crate::ir::Condition,
    features: &'s [crate::ir::Feature],
}

/// The members that a definition writes in place, its values or its branches.
fn parts<'s>(schema: &'s Schema, defined: &Defined<'s>) -> Vec<Part<'s>> {
    let members = |id| {
        let ty = schema.ty(id);
        let members = ty
            .as_object()
            .map_or(&[][..], |object| object.local_members());
        members.iter().map(|member| Part {
            role: "member",
            name: member.name(),
            span: member.span(),
            condition: member.condition(),
            features: member.features(),
        })
    };
    let in_place = |id: Option<crate::ir::TypeId>| {
        id.filter(|id| !schema.ty(*id).is_named() && *id != schema.empty_object())
            .into_iter()
            .flat_map(members)
    };
    match defined.entity {
        Entity::Include(_) => Vec::new(),
        Entity::Command(id) => in_place(schema.command(id).arguments()).collect(),
        Entity::Event(id) => in_place(schema.event(id).arguments()).collect(),
        Entity::Type(id) => match schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => Vec::new(),
            TypeKind::Object(object) => {
                let own = members(id);
                let branches = object
                    .variants()
                    .map_or(&[][..], |variants| variants.branches());
                in_place(object.base())
                    .chain(own)
                    .chain(branches.iter().filter_map(branch))
                    .collect()
            }
            TypeKind::Alternate(alternate) => {
                alternate.branches().iter().filter_map(branch).collect()
            }
            TypeKind::Enum(values) => values
                .values()
                .iter()
                .filter_map(|value| {
                    Some(Part {
                        role: "value",
                        name: value.name(),
                        span: value.span()?,
                        condition: value.condition(),
                        features: value.features(),
                    })
                })
                .collect(),
        },
    }
}

fn branch(branch: &crate::ir::Branch) -> Option<Part<'_>> {
    Some(Part {
        role: "branch",
        name: branch.name(),
        span: branch.span()?,
        condition: branch.condition(),
        features: &[],
    })
}
