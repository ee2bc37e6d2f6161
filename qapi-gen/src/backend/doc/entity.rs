//! What a manual says about one definition, in the order in which it says it.

use super::manual::Manual;
use crate::ir::{
    Command, Condition, DocSection, DocSectionKind, Entity, Feature, Member, ObjectKind, TypeId,
    TypeKind,
};
use crate::markup::{self, Block, Place, plain_text};
use crate::references::header;

/// The kinds of definition, as a reader sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Command,
    Event,
    Enum,
    Struct,
    Union,
    Alternate,
    Builtin,
}

impl Kind {
    pub(super) fn of(manual: &Manual<'_>, entity: Entity) -> Self {
        match entity {
            Entity::Include(_) => Self::Builtin,
            Entity::Command(_) => Self::Command,
            Entity::Event(_) => Self::Event,
            Entity::Type(id) => match manual.schema.ty(id).kind() {
                TypeKind::Builtin(_) | TypeKind::Array(_) => Self::Builtin,
                TypeKind::Enum(_) if manual.schema.ty(id).is_named() => Self::Enum,
                TypeKind::Enum(_) => Self::Builtin,
                TypeKind::Alternate(_) => Self::Alternate,
                TypeKind::Object(object) => match object.kind() {
                    ObjectKind::Union => Self::Union,
                    ObjectKind::Struct
                    | ObjectKind::Empty
                    | ObjectKind::Arguments
                    | ObjectKind::Base => Self::Struct,
                },
            },
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Event => "event",
            Self::Enum => "enum",
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Alternate => "alternate",
            Self::Builtin => "built-in",
        }
    }

    /// What its parts are called.
    pub(super) fn parts(self) -> &'static str {
        match self {
            Self::Command => "Arguments",
            Self::Event => "Data",
            Self::Enum | Self::Builtin => "Values",
            Self::Struct | Self::Union => "Members",
            Self::Alternate => "Branches",
        }
    }
}

/// A definition.
pub(super) struct View<'s> {
    pub(super) entity: Entity,
    pub(super) kind: Kind,
    pub(super) name: &'s str,
    pub(super) since: Option<String>,
    pub(super) condition: &'s Condition,
    /// What is said before everything else.
    pub(super) overview: Vec<&'s DocSection>,
    pub(super) parts: Vec<Part<'s>>,
    pub(super) union: Option<Union<'s>>,
    pub(super) returns: Option<Returns<'s>>,
    pub(super) errors: Option<&'s DocSection>,
    pub(super) features: Vec<(&'s Feature, Option<&'s DocSection>)>,
    /// What is said behind everything else: notes, examples.
    pub(super) remarks: Vec<&'s DocSection>,
    /// `deprecated` and `unstable`, where it is that as a whole.
    pub(super) marks: Vec<&'static str>,
    /// What a client should know about a command.
    pub(super) flags: Vec<&'static str>,
    /// The names of the definitions that use it.
    pub(super) users: &'s [&'s str],
}

/// A member, argument, value or branch.
pub(super) struct Part<'s> {
    pub(super) name: &'s str,
    /// Where its text stands, for the names in it.
    pub(super) scope: Entity,
    pub(super) type_id: Option<TypeId>,
    pub(super) is_optional: bool,
    pub(super) condition: &'s Condition,
    pub(super) features: &'s [Feature],
    pub(super) section: Option<&'s DocSection>,
    /// The type that it is inherited from.
    pub(super) origin: Option<&'s str>,
}

/// The branches of a union.
pub(super) struct Union<'s> {
    pub(super) tag: &'s str,
    pub(super) branches: Vec<UnionBranch<'s>>,
}

/// What a union has for one value of its tag.
pub(super) struct UnionBranch<'s> {
    pub(super) value: &'s str,
    pub(super) condition: &'s Condition,
    /// The type of the branch, if it adds members.
    pub(super) type_id: Option<TypeId>,
    pub(super) members: Vec<&'s Member>,
    /// What is said about it in the union.
    pub(super) section: Option<&'s DocSection>,
}

/// What a command returns.
pub(super) struct Returns<'s> {
    pub(super) type_id: Option<TypeId>,
    pub(super) section: Option<&'s DocSection>,
}

impl<'s> View<'s> {
    /// What there is to say about `entity`; `None` for an include.
    pub(super) fn new(manual: &'s Manual<'s>, entity: Entity) -> Option<Self> {
        let schema = manual.schema;
        let head = header(schema, entity)?;
        let sections = manual.sections(entity);
        let of_kind = |kind| sections.iter().find(move |section| section.kind() == kind);
        let is_plain = |section: &&DocSection| section.kind() == DocSectionKind::Plain;
        let n_overview = sections.iter().take_while(is_plain).count();
        let (overview, rest) = sections.split_at(n_overview);
        let returns = of_kind(DocSectionKind::Returns);
        let (type_id, flags) = match entity {
            Entity::Command(id) => {
                let command = schema.command(id);
                (command.returns(), flags(command))
            }
            Entity::Include(_) | Entity::Type(_) | Entity::Event(_) => (None, Vec::new()),
        };
        let feature = |feature: &'s Feature| {
            let is_it = |section: &&DocSection| {
                section.kind() == DocSectionKind::Feature
                    && section.name() == Some(feature.name())
                    && section.span().is_some()
            };
            (feature, sections.iter().find(is_it))
        };
        let users = match entity {
            Entity::Type(id) => manual.users(id),
            Entity::Include(_) | Entity::Command(_) | Entity::Event(_) => &[],
        };
        Some(Self {
            entity,
            kind: Kind::of(manual, entity),
            name: head.name(),
            since: of_kind(DocSectionKind::Since).map(|section| plain(manual, section)),
            condition: head.condition(),
            overview: overview.iter().collect(),
            parts: parts(manual, entity),
            union: union(manual, entity),
            returns: (type_id.is_some() || returns.is_some()).then_some(Returns {
                type_id,
                section: returns,
            }),
            errors: of_kind(DocSectionKind::Errors),
            features: features_of(manual, entity)
                .into_iter()
                .map(feature)
                .collect(),
            marks: ["deprecated", "unstable"]
                .into_iter()
                .filter(|mark| {
                    head.features()
                        .iter()
                        .any(|feature| feature.name() == *mark)
                })
                .collect(),
            remarks: rest.iter().filter(is_plain).collect(),
            flags,
            users,
        })
    }
}

/// Features of the definition, and those of its parts that are described with it.
fn features_of<'s>(manual: &'s Manual<'s>, entity: Entity) -> Vec<&'s Feature> {
    let head = header(manual.schema, entity);
    let mut features: Vec<&Feature> = head
        .map(|head| head.features().iter().collect())
        .unwrap_or_default();
    let own = parts(manual, entity).into_iter();
    for part in own.filter(|part| part.origin.is_none()) {
        for feature in part.features {
            if !features.iter().any(|other| other.name() == feature.name()) {
                features.push(feature);
            }
        }
    }
    features
}

fn flags(command: &Command) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if command.allows_oob() {
        flags.push("may run out of band");
    }
    if command.allows_preconfig() {
        flags.push("may run before the machine is built");
    }
    if !command.has_success_response() {
        flags.push("no reply on success");
    }
    flags
}

/// A text without markup, in one line.
fn plain(manual: &Manual<'_>, section: &DocSection) -> String {
    let text = manual.text(section);
    let document = markup::parse(text.as_str(), Place::Definition);
    let paragraphs = document.blocks.iter().filter_map(|block| match block {
        Block::Paragraph(content) => Some(plain_text(content)),
        _ => None,
    });
    paragraphs.collect::<Vec<_>>().join(" ")
}

fn parts<'s>(manual: &'s Manual<'s>, entity: Entity) -> Vec<Part<'s>> {
    let schema = manual.schema;
    let sections = manual.sections(entity);
    let own = |name: &str| {
        sections.iter().find(|section| {
            section.kind() == DocSectionKind::Member
                && section.name() == Some(name)
                && section.span().is_some()
        })
    };
    match entity {
        Entity::Include(_) => Vec::new(),
        Entity::Command(id) => members(manual, entity, schema.command(id).arguments()),
        Entity::Event(id) => members(manual, entity, schema.event(id).arguments()),
        Entity::Type(id) => match schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => Vec::new(),
            TypeKind::Object(_) => members(manual, entity, Some(id)),
            TypeKind::Enum(values) => values
                .values()
                .iter()
                .map(|value| Part {
                    name: value.name(),
                    scope: entity,
                    type_id: None,
                    is_optional: false,
                    condition: value.condition(),
                    features: value.features(),
                    section: own(value.name()),
                    origin: None,
                })
                .collect(),
            TypeKind::Alternate(alternate) => alternate
                .branches()
                .iter()
                .map(|branch| Part {
                    name: branch.name(),
                    scope: entity,
                    type_id: Some(branch.type_id()),
                    is_optional: false,
                    condition: branch.condition(),
                    features: &[],
                    section: own(branch.name()),
                    origin: None,
                })
                .collect(),
        },
    }
}

/// The members of an object type, bases first; those that `entity` does not write in place are
/// inherited.
fn members<'s>(manual: &'s Manual<'s>, entity: Entity, id: Option<TypeId>) -> Vec<Part<'s>> {
    let schema = manual.schema;
    // Members that are written in place belong to the definition that they are written in.
    let mut scope = entity;
    let mut chain = Vec::new();
    let mut next = id;
    while let Some(id) = next {
        if schema.ty(id).is_named() {
            scope = Entity::Type(id);
        }
        chain.push((id, scope));
        next = schema.ty(id).as_object().and_then(|object| object.base());
    }
    let mut parts = Vec::new();
    for (id, scope) in chain.into_iter().rev() {
        let ty = schema.ty(id);
        let owner = header(schema, scope).map(|header| header.name());
        let origin = owner.filter(|_| scope != entity);
        let sections = manual.sections(scope);
        for member in ty
            .as_object()
            .map_or(&[][..], |object| object.local_members())
        {
            let section = sections.iter().find(|section| {
                section.kind() == DocSectionKind::Member
                    && section.name() == Some(member.name())
                    && section.span().is_some()
            });
            parts.push(Part {
                name: member.name(),
                scope,
                type_id: Some(member.type_id()),
                is_optional: member.is_optional(),
                condition: member.condition(),
                features: member.features(),
                section,
                origin,
            });
        }
    }
    parts
}

fn union<'s>(manual: &'s Manual<'s>, entity: Entity) -> Option<Union<'s>> {
    let schema = manual.schema;
    let id = match entity {
        Entity::Include(_) => None,
        Entity::Type(id) => Some(id),
        Entity::Command(id) => schema.command(id).arguments(),
        Entity::Event(id) => schema.event(id).arguments(),
    }?;
    let variants = schema.ty(id).as_object()?.variants()?;
    let sections = manual.sections(entity);
    let branches = variants.branches().iter().map(|branch| {
        let members = schema.members(branch.type_id()).collect();
        let section = sections.iter().find(|section| {
            section.kind() == DocSectionKind::Member
                && section.name() == Some(branch.name())
                && section.span().is_some()
        });
        UnionBranch {
            value: branch.name(),
            condition: branch.condition(),
            type_id: (branch.type_id() != schema.empty_object()).then_some(branch.type_id()),
            members,
            section,
        }
    });
    Some(Union {
        tag: variants.tag(),
        branches: branches.collect(),
    })
}

/// A condition as a reader understands it.
pub(super) fn condition_text(condition: &Condition) -> String {
    match condition {
        Condition::Always => String::new(),
        Condition::Name(name) => name.clone(),
        Condition::Not(operand) => format!("not {}", nested(operand)),
        Condition::All(operands) => joined(operands, " and "),
        Condition::Any(operands) => joined(operands, " or "),
    }
}

fn joined(operands: &[Condition], word: &str) -> String {
    let operands: Vec<String> = match operands {
        [only] => vec![condition_text(only)],
        _ => operands.iter().map(nested).collect(),
    };
    operands.join(word)
}

fn nested(condition: &Condition) -> String {
    match condition {
        Condition::All(operands) | Condition::Any(operands) if operands.len() > 1 => {
            format!("({})", condition_text(condition))
        }
        Condition::Always
        | Condition::Name(_)
        | Condition::Not(_)
        | Condition::All(_)
        | Condition::Any(_) => condition_text(condition),
    }
}

/// With a capital.
pub(super) fn title(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
