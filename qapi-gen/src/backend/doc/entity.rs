//! What a manual says about one definition, in the order in which it says it.

use std::collections::HashSet;

use super::manual::Manual;
use crate::ir::{
    Command, Condition, Doc, DocSection, DocSectionKind, Entity, Feature, Member, ObjectKind,
    Schema, TypeId, TypeKind,
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

/// How many members of another type are named where it is used. What a type has is shown once, with the type: a manual
/// that showed it with every user would not be as long as its schema but as long as its square.
const MAX_NAMED: usize = 10;

/// How long these names are together, the last one not counted.
const MAX_NAMES: usize = 200;

/// A definition.
pub(super) struct View<'s> {
    pub(super) entity: Entity,
    pub(super) kind: Kind,
    pub(super) name: &'s str,
    pub(super) since: Option<String>,
    pub(super) condition: &'s Condition,
    /// What is said before everything else.
    pub(super) overview: Vec<&'s DocSection>,
    /// The type whose members it has besides its own: its base, or what it takes.
    pub(super) inherited: Option<Inherited<'s>>,
    pub(super) parts: Vec<DocumentedPart<'s>>,
    pub(super) union: Option<Union<'s>>,
    pub(super) returns: Option<Returns<'s>>,
    pub(super) errors: Option<&'s DocSection>,
    pub(super) features: Vec<(&'s Feature, Option<&'s DocSection>)>,
    /// What is said after everything else: notes, examples.
    pub(super) remarks: Vec<&'s DocSection>,
    /// `deprecated` and `unstable`, where it is that as a whole.
    pub(super) marks: Vec<&'static str>,
    /// What a client should know about a command.
    pub(super) flags: Vec<&'static str>,
    /// The names of the definitions that use it.
    pub(super) users: &'s [&'s str],
}

/// A member, argument, value or branch that is written in the definition, with what is said about it.
pub(super) struct DocumentedPart<'s> {
    pub(super) name: &'s str,
    pub(super) type_id: Option<TypeId>,
    pub(super) is_optional: bool,
    pub(super) condition: &'s Condition,
    pub(super) features: &'s [Feature],
    pub(super) section: Option<&'s DocSection>,
}

/// The members of another type, which are described there.
pub(super) struct Inherited<'s> {
    /// The type.
    pub(super) name: &'s str,
    /// The first of them, nearest ones first, each with the definition that describes it.
    pub(super) members: Vec<(&'s str, &'s Member)>,
    /// Whether it has more members.
    pub(super) has_more: bool,
    /// Whether it has branches.
    pub(super) has_branches: bool,
}

/// The branches of a union.
pub(super) struct Union<'s> {
    pub(super) tag: &'s str,
    /// Those that the schema lists.
    pub(super) branches: Vec<UnionBranch<'s>>,
    /// Whether the tag has values that the schema lists no branch for.
    pub(super) has_others: bool,
}

/// What a union has for one value of its tag.
pub(super) struct UnionBranch<'s> {
    pub(super) value: &'s str,
    pub(super) condition: &'s Condition,
    /// The type of the branch, if it adds members.
    pub(super) type_id: Option<TypeId>,
    /// What the branch adds.
    pub(super) inherited: Inherited<'s>,
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
        let texts = Texts(head.doc().map(|doc| schema.doc(doc)));
        let parts = parts(schema, entity, texts);
        let (type_id, flags) = match entity {
            Entity::Command(id) => {
                let command = schema.command(id);
                (command.returns(), flags(command))
            }
            Entity::Include(_) | Entity::Type(_) | Entity::Event(_) => (None, Vec::new()),
        };
        let feature = |feature: &'s Feature| (feature, texts.feature(feature.name()));
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
            inherited: inherited_by(schema, entity),
            union: union(schema, entity, texts),
            returns: (type_id.is_some() || returns.is_some()).then_some(Returns {
                type_id,
                section: returns,
            }),
            errors: of_kind(DocSectionKind::Errors),
            features: features_of(head.features(), &parts)
                .into_iter()
                .map(feature)
                .collect(),
            parts,
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

/// The documentation of a definition, for what describes its parts.
#[derive(Clone, Copy)]
struct Texts<'s>(Option<&'s Doc>);

impl<'s> Texts<'s> {
    fn member(self, name: &str) -> Option<&'s DocSection> {
        let section = self.0.and_then(|doc| doc.member(name));
        section.filter(|section| section.span().is_some())
    }

    fn feature(self, name: &str) -> Option<&'s DocSection> {
        let section = self.0.and_then(|doc| doc.feature(name));
        section.filter(|section| section.span().is_some())
    }
}

/// Features of the definition, and those of its parts that are described with it.
fn features_of<'s>(own: &'s [Feature], parts: &[DocumentedPart<'s>]) -> Vec<&'s Feature> {
    let mut seen = HashSet::new();
    let mut features: Vec<&Feature> = own.iter().collect();
    seen.extend(own.iter().map(Feature::name));
    for feature in parts.iter().flat_map(|part| part.features) {
        if seen.insert(feature.name()) {
            features.push(feature);
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

/// The parts that are written in the definition.
fn parts<'s>(schema: &'s Schema, entity: Entity, texts: Texts<'s>) -> Vec<DocumentedPart<'s>> {
    match entity {
        Entity::Include(_) => Vec::new(),
        Entity::Command(id) => members(schema, schema.command(id).arguments(), texts),
        Entity::Event(id) => members(schema, schema.event(id).arguments(), texts),
        Entity::Type(id) => match schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => Vec::new(),
            TypeKind::Object(object) => {
                let mut parts = members(schema, object.base(), texts);
                parts.extend(object.local_members().iter().map(|it| member(it, texts)));
                parts
            }
            TypeKind::Enum(values) => values
                .values()
                .iter()
                .map(|value| DocumentedPart {
                    name: value.name(),
                    type_id: None,
                    is_optional: false,
                    condition: value.condition(),
                    features: value.features(),
                    section: texts.member(value.name()),
                })
                .collect(),
            TypeKind::Alternate(alternate) => alternate
                .branches()
                .iter()
                .map(|branch| DocumentedPart {
                    name: branch.name(),
                    type_id: Some(branch.type_id()),
                    is_optional: false,
                    condition: branch.condition(),
                    features: &[],
                    section: texts.member(branch.name()),
                })
                .collect(),
        },
    }
}

/// The members of an object type without a name: arguments or a base that are written in place.
fn members<'s>(
    schema: &'s Schema,
    id: Option<TypeId>,
    texts: Texts<'s>,
) -> Vec<DocumentedPart<'s>> {
    let object = id.filter(|id| !schema.ty(*id).is_named());
    let members = object
        .into_iter()
        .flat_map(|id| schema.ty(id).kind().local_members());
    members.map(|it| member(it, texts)).collect()
}

fn member<'s>(member: &'s Member, texts: Texts<'s>) -> DocumentedPart<'s> {
    DocumentedPart {
        name: member.name(),
        type_id: Some(member.type_id()),
        is_optional: member.is_optional(),
        condition: member.condition(),
        features: member.features(),
        section: texts.member(member.name()),
    }
}

/// The members that a definition has of a type with a name.
fn inherited_by(schema: &Schema, entity: Entity) -> Option<Inherited<'_>> {
    let id = match entity {
        Entity::Include(_) => None,
        Entity::Command(id) => schema.command(id).arguments(),
        Entity::Event(id) => schema.event(id).arguments(),
        Entity::Type(id) => schema.ty(id).as_object().and_then(|object| object.base()),
    };
    let id = id.filter(|id| schema.ty(*id).is_named())?;
    Some(inherited(schema, id))
}

/// The members of the object type `id`, as its users name them.
fn inherited(schema: &Schema, id: TypeId) -> Inherited<'_> {
    let mut inherited = Inherited {
        name: schema.ty(id).name(),
        members: Vec::new(),
        has_more: false,
        has_branches: false,
    };
    let mut owner = inherited.name;
    let mut n_bytes = 0;
    let mut next = Some(id);
    // Bases may be empty: their number is bounded, too.
    for _ in 0..MAX_NAMED {
        let Some(ty) = next.map(|id| schema.ty(id)) else {
            break;
        };
        let Some(object) = ty.as_object() else { break };
        // A base without a name is described with the type that it is written in.
        if ty.is_named() {
            owner = ty.name();
        }
        inherited.has_branches |= object.variants().is_some();
        for member in object.local_members() {
            if inherited.members.len() == MAX_NAMED || n_bytes > MAX_NAMES {
                inherited.has_more = true;
                break;
            }
            n_bytes += member.name().len();
            inherited.members.push((owner, member));
        }
        next = object.base();
    }
    inherited.has_more |= next.is_some();
    inherited
}

impl Inherited<'_> {
    /// What there is besides the members that are named.
    pub(super) fn rest(&self) -> Option<&'static str> {
        match (self.has_more, self.has_branches) {
            (false, false) => None,
            (true, false) => Some("and more"),
            (false, true) => Some("and more by its own branches"),
            (true, true) => Some("and more, also by its own branches"),
        }
    }
}

/// The branches of a union. Who takes the union refers to it.
fn union<'s>(schema: &'s Schema, entity: Entity, texts: Texts<'s>) -> Option<Union<'s>> {
    let Entity::Type(id) = entity else {
        return None;
    };
    let variants = schema.ty(id).as_object()?.variants()?;
    let listed = variants.branches().iter();
    let listed = listed.filter(|branch| branch.span().is_some());
    let branches: Vec<_> = listed
        .map(|branch| UnionBranch {
            value: branch.name(),
            condition: branch.condition(),
            type_id: (branch.type_id() != schema.empty_object()).then_some(branch.type_id()),
            inherited: inherited(schema, branch.type_id()),
            section: texts.member(branch.name()),
        })
        .collect();
    Some(Union {
        tag: variants.tag(),
        has_others: branches.len() < variants.branches().len(),
        branches,
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
