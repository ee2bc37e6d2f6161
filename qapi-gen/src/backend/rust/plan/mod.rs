//! What is generated: names, conditions, boxes and defaults of everything, decided before the
//! first line is printed.

mod branches;
mod check;
mod conditions;
mod definitions;
mod names;
mod notes;
mod policies;
mod reach;
mod repetition;
mod shape;
mod tolerance;
mod types;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::diagnostic::Diagnostic;
use crate::ir::{
    Branch, Command, Condition, DocId, EnumValue, Event, Feature, Member, Schema, Type, TypeId,
    Variants,
};

use super::gate::{Gate, reduce};
use super::names as rust_names;
use super::options::Options;

pub(super) use self::conditions::open_names;
pub(super) use self::names::{builtin_name, catch_all};
use self::names::{free_name, modules};
pub(super) use self::policies::{Policies, deprecation, header_policies};
use self::shape::{Shapes, measure};
use self::tolerance::{Holder, Tolerance};

/// Everything that emission needs to know.
pub(super) struct Plan<'a> {
    pub(super) schema: &'a Schema,
    pub(super) options: &'a Options,
    /// By [`TypeId`]; `None` for what has no Rust type of its own and what is never there.
    pub(super) types: Vec<Option<TypePlan<'a>>>,
    /// By arena position; `None` for what is never there.
    pub(super) commands: Vec<Option<DefinitionPlan<'a, Command>>>,
    pub(super) events: Vec<Option<DefinitionPlan<'a, Event>>>,
    /// The Rust module of each schema module.
    pub(super) modules: Vec<String>,
    /// What the prelude or the runtime call so needs its path: of the Rust names of the schema those that may be
    /// imported, and those that look like other names of imports.
    pub(super) taken: HashSet<String>,
    /// The Rust names that a command, or an event, has in common with a type.
    pub(super) command_names: HashSet<String>,
    pub(super) event_names: HashSet<String>,
    /// The enum of all events.
    pub(super) event_enum: String,
    pub(super) shapes: Shapes,
    /// What the documentation of a definition says of what is deprecated.
    pub(super) notes: HashMap<DocId, String>,
    /// Where values stand in the plans of enumerations that are discriminators.
    value_positions: HashMap<TypeId, HashMap<&'a str, usize>>,
}

/// A type of the schema's author.
pub(super) struct TypePlan<'a> {
    pub(super) id: TypeId,
    pub(super) ty: &'a Type,
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) body: Body<'a>,
}

/// What a type is in Rust.
pub(super) enum Body<'a> {
    /// The user's own type.
    Replaced(&'a str),
    Enum(Vec<Value<'a>>, String),
    Struct(Vec<Field<'a>>),
    Union(Box<UnionPlan<'a>>),
    Alternate(Vec<Variant<'a>>),
}

/// A union: an enum of its branches, beside the base members if there are any but the tag.
pub(super) struct UnionPlan<'a> {
    pub(super) variants: &'a Variants,
    /// All base members in order, the tag included.
    pub(super) fields: Vec<Field<'a>>,
    pub(super) branches: Vec<Variant<'a>>,
    /// The Rust name of the enum of branches; that of the union if it has no other members.
    pub(super) branches_name: String,
    pub(super) unknown: String,
    pub(super) tag_ident: String,
}

impl UnionPlan<'_> {
    /// Whether the union is nothing but the enum of its branches.
    pub(super) fn is_enum(&self) -> bool {
        self.fields.len() == 1
    }

    pub(super) fn is_tag(&self, field: &Field<'_>) -> bool {
        field.member.name() == self.variants.tag()
    }
}

/// A command or event.
pub(super) struct DefinitionPlan<'a, T> {
    pub(super) definition: &'a T,
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) arguments: Arguments<'a>,
}

/// The arguments of a command, the data of an event.
pub(super) enum Arguments<'a> {
    /// A struct of their own, without members if there are none.
    Members(Vec<Field<'a>>),
    /// A type of the schema.
    Type(TypeId),
    /// Any object: `'gen': false`.
    Raw,
}

/// A value of an enumeration.
pub(super) struct Value<'a> {
    pub(super) value: &'a EnumValue,
    pub(super) ident: String,
    pub(super) gate: Gate,
    pub(super) policies: Cow<'static, [Policies]>,
}

/// A member of a struct.
pub(super) struct Field<'a> {
    pub(super) member: &'a Member,
    pub(super) presence: Presence,
    pub(super) ident: String,
    pub(super) gate: Gate,
    pub(super) policies: Cow<'static, [Policies]>,
    /// The comment that documents it: that of the base it comes from.
    pub(super) doc: Option<DocId>,
}

/// Whether a member may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Mandatory,
    Optional,
    /// A client takes it that it is absent, a server does not.
    Tolerant,
    /// The same for a discriminator: without it the branch is the one for unknown names.
    TolerantTag,
}

impl Field<'_> {
    /// Whether it is an `Option` in Rust.
    pub(super) fn is_option(&self) -> bool {
        match self.presence {
            Presence::Optional | Presence::Tolerant => true,
            Presence::Mandatory | Presence::TolerantTag => false,
        }
    }
}

/// A branch of a union or alternate.
pub(super) struct Variant<'a> {
    pub(super) branch: &'a Branch,
    pub(super) ident: String,
    pub(super) gate: Gate,
    /// `None` for a branch without members.
    pub(super) payload: Option<TypeId>,
}

/// Decides everything; or says what cannot be.
pub(super) fn plan<'a>(
    schema: &'a Schema,
    options: &'a Options,
) -> Result<Plan<'a>, Vec<Diagnostic>> {
    let mut planner = Planner {
        schema,
        options,
        tolerance: Tolerance::new(schema, options),
        errors: Vec::new(),
    };
    planner.check_repetition();
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let types = planner.types();
    let commands = planner.commands();
    let events = planner.events();
    planner.check_options();
    let named_types = types.iter().flatten();
    let type_names = named_types.flat_map(|ty| [Some(ty.name.as_str()), ty.branches_name()]);
    let type_names: HashSet<&str> = type_names.flatten().collect();
    let names_of_commands = || commands.iter().flatten().map(|it| it.name.as_str());
    let names_of_events = || events.iter().flatten().map(|it| it.name.as_str());
    let all = type_names.iter().copied();
    let all = all.chain(names_of_commands()).chain(names_of_events());
    let taken = all.filter(|name| rust_names::may_be_imported(name));
    let taken = taken.map(str::to_owned).collect();
    let in_common = |name: &&str| type_names.contains(name);
    let command_names = names_of_commands().filter(in_common);
    let command_names = command_names.map(str::to_owned).collect();
    let event_names = names_of_events().filter(in_common);
    let event_names = event_names.map(str::to_owned).collect();
    let event_enum = free_name(
        |name| names_of_events().any(|known| known == name),
        ["Event", "AnyEvent"].map(str::to_owned),
    );
    drop(type_names);
    let modules = modules(schema, &options.runtime);
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let mut plan = Plan {
        schema,
        options,
        command_names,
        event_names,
        event_enum,
        types,
        commands,
        events,
        modules,
        taken,
        shapes: Shapes::default(),
        notes: notes::notes(schema, options),
        value_positions: HashMap::new(),
    };
    plan.value_positions = value_positions(&plan.types);
    plan.shapes = measure(&plan);
    let mut errors = reach::check_references(&plan);
    errors.extend(check::check_features(&plan));
    if errors.is_empty() {
        Ok(plan)
    } else {
        Err(errors)
    }
}

fn value_positions<'a>(types: &[Option<TypePlan<'a>>]) -> HashMap<TypeId, HashMap<&'a str, usize>> {
    let mut positions = HashMap::new();
    for ty in types.iter().flatten() {
        let Body::Union(union) = &ty.body else {
            continue;
        };
        let tag_type = union.variants.tag_type();
        let plan = types[tag_type.index()].as_ref().map(|plan| &plan.body);
        if let Some(Body::Enum(values, _)) = plan {
            positions.entry(tag_type).or_insert_with(|| {
                let names = values.iter().map(|value| value.value.name());
                names
                    .enumerate()
                    .map(|(index, name)| (name, index))
                    .collect()
            });
        }
    }
    positions
}

impl TypePlan<'_> {
    /// The second Rust type of a union with base members.
    pub(super) fn branches_name(&self) -> Option<&str> {
        match &self.body {
            Body::Union(union) if !union.is_enum() => Some(&union.branches_name),
            Body::Union(_)
            | Body::Replaced(_)
            | Body::Enum(..)
            | Body::Struct(_)
            | Body::Alternate(_) => None,
        }
    }
}

impl<'a> Plan<'a> {
    pub(super) fn ty(&self, id: TypeId) -> Option<&TypePlan<'a>> {
        self.types[id.index()].as_ref()
    }
}

struct Planner<'a> {
    schema: &'a Schema,
    options: &'a Options,
    tolerance: Tolerance<'a>,
    errors: Vec<Diagnostic>,
}

impl<'a> Planner<'a> {
    fn reduce(&self, condition: &Condition) -> Option<Gate> {
        reduce(condition, &self.options.configuration)
    }

    fn policies(&self, features: &[Feature]) -> Cow<'static, [Policies]> {
        policies::policies(features, self.options)
    }
}
