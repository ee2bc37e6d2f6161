//! What is generated: names, conditions, boxes and defaults of everything, decided before the
//! first line is printed.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Related};
use crate::ir::{
    Branch, Builtin, Command, DocId, EnumValue, Event, Feature, Member, ObjectKind, Schema, Type,
    TypeId, TypeKind, Variants,
};
use crate::source::Span;

use super::gate::{Gate, reduce};
use super::names;
use super::options::Options;
use super::shape::{Shapes, measure};

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
    /// Every Rust name of the schema: what the prelude or the runtime call so needs its path.
    pub(super) taken: HashSet<String>,
    /// The Rust names of commands and events, which may be those of types.
    pub(super) command_names: HashSet<String>,
    pub(super) event_names: HashSet<String>,
    /// The enum of all events.
    pub(super) event_enum: String,
    pub(super) shapes: Shapes,
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
    Union(UnionPlan<'a>),
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
    pub(super) policies: Vec<Policies>,
}

/// A member of a struct.
pub(super) struct Field<'a> {
    pub(super) member: &'a Member,
    pub(super) ident: String,
    pub(super) gate: Gate,
    pub(super) policies: Vec<Policies>,
    /// The comment that documents it: that of the base it comes from.
    pub(super) doc: Option<DocId>,
}

/// A branch of a union or alternate.
pub(super) struct Variant<'a> {
    pub(super) branch: &'a Branch,
    pub(super) ident: String,
    pub(super) gate: Gate,
    /// `None` for a branch without members.
    pub(super) payload: Option<TypeId>,
}

/// Which special features there are under a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) gate: Gate,
    pub(super) deprecated: bool,
    pub(super) unstable: bool,
}

impl Policies {
    /// The constant for them, `None` for none.
    pub(super) fn constant(&self, policy: &str) -> Option<String> {
        match (self.deprecated, self.unstable) {
            (false, false) => None,
            (true, false) => Some(format!("{policy}::DEPRECATED")),
            (false, true) => Some(format!("{policy}::UNSTABLE")),
            (true, true) => Some(format!("{policy}::DEPRECATED.union({policy}::UNSTABLE)")),
        }
    }
}

/// Decides everything; or says what cannot be.
pub(super) fn plan<'a>(
    schema: &'a Schema,
    options: &'a Options,
) -> Result<Plan<'a>, Vec<Diagnostic>> {
    let mut planner = Planner {
        schema,
        options,
        errors: Vec::new(),
    };
    let types = planner.types();
    let commands = planner.commands();
    let events = planner.events();
    planner.check_options();
    let taken = types
        .iter()
        .flatten()
        .flat_map(|ty| [Some(ty.name.clone()), ty.branches_name().map(str::to_owned)])
        .flatten()
        .chain(
            commands
                .iter()
                .flatten()
                .map(|command| command.name.clone()),
        )
        .chain(events.iter().flatten().map(|event| event.name.clone()))
        .collect();
    let modules = modules(schema);
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let command_names = commands
        .iter()
        .flatten()
        .map(|plan| plan.name.clone())
        .collect();
    let event_names: HashSet<String> = events
        .iter()
        .flatten()
        .map(|plan| plan.name.clone())
        .collect();
    let event_enum = free_name(
        |name| event_names.contains(name),
        ["Event", "AnyEvent"].map(str::to_owned),
    );
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
    };
    plan.shapes = measure(&plan);
    let errors = super::reach::check_references(&plan);
    if errors.is_empty() {
        Ok(plan)
    } else {
        Err(errors)
    }
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

    /// The value of the tag's enumeration that selects a branch.
    pub(super) fn tag_value(&self, union: &UnionPlan<'_>, branch: &Branch) -> String {
        let Some(plan) = self.ty(union.variants.tag_type()) else {
            // The built-in QType.
            return names::camel(branch.name());
        };
        let values = match &plan.body {
            Body::Enum(values, _) => values.as_slice(),
            Body::Replaced(_) | Body::Struct(_) | Body::Union(_) | Body::Alternate(_) => &[],
        };
        let value = values
            .iter()
            .find(|value| value.value.name() == branch.name());
        value.map_or_else(|| names::camel(branch.name()), |value| value.ident.clone())
    }

    /// When the value of the tag's enumeration that selects a branch is deprecated.
    pub(super) fn tag_deprecation(&self, union: &UnionPlan<'_>, branch: &Branch) -> Option<Gate> {
        let plan = self.ty(union.variants.tag_type())?;
        let Body::Enum(values, _) = &plan.body else {
            return None;
        };
        let value = values
            .iter()
            .find(|value| value.value.name() == branch.name())?;
        deprecation(&value.policies)
    }

    /// When a command or event is deprecated.
    pub(super) fn header_deprecation(&self, header: &crate::ir::Header) -> Option<Gate> {
        deprecation(&policies(header.features(), self.options))
    }

    /// The catch-all variant of the tag's enumeration.
    pub(super) fn tag_unknown(&self, union: &UnionPlan<'_>) -> &str {
        match self.ty(union.variants.tag_type()).map(|plan| &plan.body) {
            Some(Body::Enum(_, unknown)) => unknown,
            Some(Body::Replaced(_) | Body::Struct(_) | Body::Union(_) | Body::Alternate(_))
            | None => "Unknown",
        }
    }
}

struct Planner<'a> {
    schema: &'a Schema,
    options: &'a Options,
    errors: Vec<Diagnostic>,
}

impl<'a> Planner<'a> {
    fn types(&mut self) -> Vec<Option<TypePlan<'a>>> {
        let mut types = Vec::new();
        for (id, ty) in self.schema.types() {
            let gate = if ty.is_named() {
                self.reduce(ty.condition())
            } else {
                None
            };
            types.push(gate.map(|gate| {
                let name = names::camel(ty.name());
                let replacement = self.options.replacements.get(ty.name());
                let body = match replacement {
                    Some(path) => Body::Replaced(path),
                    None => self.body(id, ty),
                };
                TypePlan {
                    id,
                    ty,
                    name,
                    gate,
                    body,
                }
            }));
        }
        let names = types
            .iter()
            .flatten()
            .filter(|plan| !matches!(plan.body, Body::Replaced(_)));
        let names = names.map(|plan| (plan.name.as_str(), plan.ty.name(), plan.ty.name_span()));
        let taken = self.check_distinct("type", names);
        let mut taken = taken.into_iter().map(str::to_owned).collect();
        name_branches(&mut types, &mut taken);
        types
    }

    fn reduce(&self, condition: &crate::ir::Condition) -> Option<Gate> {
        reduce(condition, &self.options.configuration)
    }

    fn body(&mut self, id: TypeId, ty: &'a Type) -> Body<'a> {
        match ty.kind() {
            TypeKind::Enum(values) => {
                let values: Vec<_> = values
                    .values()
                    .iter()
                    .filter_map(|value| self.value(value))
                    .collect();
                let names = values
                    .iter()
                    .map(|value| (&*value.ident, value.value.name(), value.value.span()));
                let taken = self.check_distinct("value", names);
                let unknown = catch_all(&taken);
                Body::Enum(values, unknown)
            }
            TypeKind::Alternate(alternate) => {
                Body::Alternate(self.variants(alternate.branches(), None))
            }
            TypeKind::Object(object) => {
                let fields = self.fields(id, ty.doc());
                match object.variants() {
                    None => Body::Struct(fields),
                    Some(variants) => {
                        let branches = self.variants(variants.branches(), Some(variants));
                        let taken = branches
                            .iter()
                            .map(|branch| branch.ident.as_str())
                            .collect();
                        let unknown = catch_all(&taken);
                        Body::Union(UnionPlan {
                            variants,
                            fields,
                            branches,
                            branches_name: names::camel(ty.name()),
                            unknown,
                            tag_ident: names::field(variants.tag()),
                        })
                    }
                }
            }
            // Neither has a name of the author's.
            TypeKind::Builtin(_) | TypeKind::Array(_) => Body::Struct(Vec::new()),
        }
    }

    fn value(&self, value: &'a EnumValue) -> Option<Value<'a>> {
        Some(Value {
            value,
            ident: names::camel(value.name()),
            gate: self.reduce(value.condition())?,
            policies: self.policies(value.features()),
        })
    }

    /// The members of an object with those of its bases, which come first.
    fn fields(&mut self, id: TypeId, doc: Option<DocId>) -> Vec<Field<'a>> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(ty) = next.map(|id| self.schema.ty(id)) {
            let Some(object) = ty.as_object() else { break };
            // Members written in place are documented with the definition they stand in.
            let doc = match object.kind() {
                ObjectKind::Arguments | ObjectKind::Base => doc,
                ObjectKind::Struct | ObjectKind::Union | ObjectKind::Empty => ty.doc(),
            };
            chain.push((object, doc));
            next = object.base();
        }
        let mut fields = Vec::new();
        for (object, doc) in chain.into_iter().rev() {
            for member in object.local_members() {
                let Some(gate) = self.reduce(member.condition()) else {
                    continue;
                };
                fields.push(Field {
                    member,
                    ident: names::field(member.name()),
                    gate,
                    policies: self.policies(member.features()),
                    doc,
                });
            }
        }
        let names = fields.iter().map(|field| {
            (
                &*field.ident,
                field.member.name(),
                Some(field.member.span()),
            )
        });
        self.check_distinct("member", names);
        fields
    }

    fn variants(&mut self, branches: &'a [Branch], union: Option<&Variants>) -> Vec<Variant<'a>> {
        let mut variants = Vec::new();
        for branch in branches {
            let ident = names::camel(branch.name());
            let has_members = branch.type_id() != self.schema.empty_object();
            let own = self.reduce(branch.condition());
            let Some(union) = union else {
                if let Some(gate) = own {
                    variants.push(Variant {
                        branch,
                        ident,
                        gate,
                        payload: Some(branch.type_id()),
                    });
                }
                continue;
            };
            // The value can be there without its branch, which is then one without members.
            let Some(value_gate) = self.tag_gate(union, branch.name()) else {
                continue;
            };
            if let Some(own) = &own {
                let gate = value_gate.and(own);
                let payload = has_members.then(|| branch.type_id());
                variants.push(Variant {
                    branch,
                    ident: ident.clone(),
                    gate,
                    payload,
                });
            }
            let rest = own.as_ref().map_or(Some(Gate::ALWAYS), Gate::negated);
            if let Some(rest) = rest
                && !own.is_some_and(|own| value_gate.and(&own) == value_gate)
            {
                let gate = value_gate.and(&rest);
                variants.push(Variant {
                    branch,
                    ident,
                    gate,
                    payload: None,
                });
            }
        }
        let mut names: Vec<_> = variants
            .iter()
            .map(|variant| {
                (
                    &*variant.ident,
                    variant.branch.name(),
                    variant.branch.span(),
                )
            })
            .collect();
        names.dedup_by(|left, right| left.1 == right.1);
        self.check_distinct("branch", names.into_iter());
        variants
    }

    /// When the value `name` of the tag of `union` is there.
    fn tag_gate(&self, union: &Variants, name: &str) -> Option<Gate> {
        let values = self.schema.ty(union.tag_type()).as_enum()?.values();
        let value = values.iter().find(|value| value.name() == name)?;
        self.reduce(value.condition())
    }

    fn policies(&self, features: &[Feature]) -> Vec<Policies> {
        policies(features, self.options)
    }
    fn commands(&mut self) -> Vec<Option<DefinitionPlan<'a, Command>>> {
        let schema = self.schema;
        let mut plans = Vec::new();
        for command in schema.commands() {
            plans.push(self.reduce(command.condition()).map(|gate| {
                let arguments = if command.is_generated() {
                    self.arguments(command.arguments(), command.doc())
                } else {
                    Arguments::Raw
                };
                let name = names::definition(command.name());
                DefinitionPlan {
                    definition: command,
                    name,
                    gate,
                    arguments,
                }
            }));
        }
        let names = plans.iter().flatten();
        let names = names.map(|plan| {
            (
                &*plan.name,
                plan.definition.name(),
                plan.definition.name_span(),
            )
        });
        self.check_distinct("command", names);
        let methods: Vec<String> = plans
            .iter()
            .flatten()
            .map(|plan: &DefinitionPlan<'_, Command>| names::field(plan.definition.name()))
            .collect();
        let names = methods.iter().zip(plans.iter().flatten());
        let names = names
            .map(|(name, plan)| (&**name, plan.definition.name(), plan.definition.name_span()));
        if self.errors.is_empty() {
            self.check_distinct("command", names);
        }
        plans
    }

    fn events(&mut self) -> Vec<Option<DefinitionPlan<'a, Event>>> {
        let schema = self.schema;
        let mut plans = Vec::new();
        for event in schema.events() {
            plans.push(self.reduce(event.condition()).map(|gate| DefinitionPlan {
                definition: event,
                name: names::definition(event.name()),
                gate,
                arguments: self.arguments(event.arguments(), event.doc()),
            }));
        }
        let names = plans.iter().flatten();
        let names = names.map(|plan: &DefinitionPlan<'_, Event>| {
            (
                &*plan.name,
                plan.definition.name(),
                plan.definition.name_span(),
            )
        });
        self.check_distinct("event", names);
        plans
    }

    fn arguments(&mut self, id: Option<TypeId>, doc: Option<DocId>) -> Arguments<'a> {
        match id {
            None => Arguments::Members(Vec::new()),
            Some(id) if self.schema.ty(id).is_named() => Arguments::Type(id),
            Some(id) => Arguments::Members(self.fields(id, doc)),
        }
    }

    /// Reports names of one namespace that become one Rust name; returns all of them.
    fn check_distinct<'n>(
        &mut self,
        what: &str,
        names: impl Iterator<Item = (&'n str, &'n str, Option<Span>)>,
    ) -> HashSet<&'n str> {
        let mut seen: HashMap<&str, (&str, Option<Span>)> = HashMap::new();
        for (rust, name, span) in names {
            let Some(&(first, first_span)) = seen.get(rust) else {
                seen.insert(rust, (name, span));
                continue;
            };
            let message =
                format!("{what} '{name}' and {what} '{first}' both become '{rust}' in Rust");
            let mut error = match span {
                Some(span) => Diagnostic::new(Code::RustNameCollision, message, span),
                None => Diagnostic::unplaced(Code::RustNameCollision, message),
            };
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
        seen.into_keys().collect()
    }

    /// Options that name something must name something there is.
    fn check_options(&mut self) {
        let is_type = |name: &str| {
            let mut named = self.schema.types().filter(|(_, ty)| ty.is_named());
            named.any(|(_, ty)| ty.name() == name)
        };
        let is_definition = |name: &str| is_type(name) || self.schema.entity(name).is_some();
        let is_command = |name: &str| self.schema.commands().iter().any(|c| c.name() == name);
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
                .filter(|name| !is_definition(name))
                .map(|name| ("attributes", name)),
        );
        let served = options.commands.iter().flatten();
        unknown.extend(
            served
                .filter(|name| !is_command(name))
                .map(|name| ("serve", name)),
        );
        for (option, name) in unknown {
            let message =
                format!("option '{option}' names '{name}', which the schema does not have");
            self.errors
                .push(Diagnostic::unplaced(Code::OptionNamesNothing, message));
        }
    }
}

/// The special features among `features`, one case for each way in which open conditions fall.
fn policies(features: &[Feature], options: &Options) -> Vec<Policies> {
    let none = Policies {
        gate: Gate::ALWAYS,
        deprecated: false,
        unstable: false,
    };
    let mut cases = vec![none];
    for feature in features {
        let is_deprecated = feature.name() == "deprecated";
        if !is_deprecated && feature.name() != "unstable" {
            continue;
        }
        let Some(gate) = reduce(feature.condition(), &options.configuration) else {
            continue;
        };
        let mut next = Vec::new();
        for case in cases {
            if let Some(without) = gate.negated() {
                next.push(Policies {
                    gate: case.gate.and(&without),
                    ..case.clone()
                });
            }
            next.push(Policies {
                gate: case.gate.and(&gate),
                deprecated: case.deprecated || is_deprecated,
                unstable: case.unstable || !is_deprecated,
            });
        }
        cases = next;
    }
    cases
}

/// When something is deprecated, `None` for never.
pub(super) fn deprecation(cases: &[Policies]) -> Option<Gate> {
    let deprecated = cases.iter().filter(|case| case.deprecated);
    let gates: Vec<Gate> = deprecated.map(|case| case.gate.clone()).collect();
    (!gates.is_empty()).then(|| Gate::any(&gates))
}

/// The special features of a command or event.
pub(super) fn header_policies(plan: &Plan<'_>, features: &[Feature]) -> Vec<Policies> {
    policies(features, plan.options)
}

/// The variant for what the schema does not have.
pub(super) fn catch_all(taken: &HashSet<&str>) -> String {
    free_name(
        |name| taken.contains(name),
        ["Unknown", "UnknownValue"].map(str::to_owned),
    )
}

/// The first candidate that is free, at last the last one with a number.
fn free_name<const N: usize>(taken: impl Fn(&str) -> bool, candidates: [String; N]) -> String {
    if let Some(free) = candidates.iter().find(|name| !taken(name)) {
        return free.clone();
    }
    let last = candidates.last().map_or("Value", String::as_str);
    let mut n = 2_usize;
    loop {
        let name = format!("{last}{n}");
        if !taken(&name) {
            return name;
        }
        n += 1;
    }
}

/// Names the enums of branches of unions with base members: `BlockdevOptionsDriver`.
fn name_branches(types: &mut [Option<TypePlan<'_>>], taken: &mut HashSet<String>) {
    for plan in types.iter_mut().flatten() {
        let Body::Union(union) = &mut plan.body else {
            continue;
        };
        if union.is_enum() {
            continue;
        }
        let tag = names::camel(union.variants.tag());
        let short = format!("{}{tag}", plan.name);
        let long = format!("{short}Branches");
        union.branches_name = free_name(|name| taken.contains(name), [short, long]);
        taken.insert(union.branches_name.clone());
    }
}

/// Distinct Rust names for the schema's modules.
fn modules(schema: &Schema) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut modules = Vec::new();
    for module in schema.modules() {
        let name = names::module(module.name());
        let name = free_name(
            |name| taken.contains(name),
            [name.clone(), format!("{name}_")],
        );
        taken.insert(name.clone());
        modules.push(name);
    }
    modules
}

/// The names of conditions that stay open, for the table of features.
pub(super) fn open_names<'p>(plan: &'p Plan<'_>) -> BTreeSet<&'p str> {
    let mut names = BTreeSet::new();
    let fields_names = |fields: &'p [Field<'_>], names: &mut BTreeSet<&'p str>| {
        for field in fields {
            field.gate.names(names);
            field
                .policies
                .iter()
                .for_each(|case| case.gate.names(names));
        }
    };
    for ty in plan.types.iter().flatten() {
        ty.gate.names(&mut names);
        match &ty.body {
            Body::Replaced(_) => {}
            Body::Enum(values, _) => {
                for value in values {
                    value.gate.names(&mut names);
                    value
                        .policies
                        .iter()
                        .for_each(|case| case.gate.names(&mut names));
                }
            }
            Body::Struct(fields) => fields_names(fields, &mut names),
            Body::Union(union) => {
                fields_names(&union.fields, &mut names);
                union
                    .branches
                    .iter()
                    .for_each(|branch| branch.gate.names(&mut names));
            }
            Body::Alternate(branches) => {
                branches
                    .iter()
                    .for_each(|branch| branch.gate.names(&mut names));
            }
        }
    }
    for command in plan.commands.iter().flatten() {
        command.gate.names(&mut names);
        if let Arguments::Members(fields) = &command.arguments {
            fields_names(fields, &mut names);
        }
    }
    for event in plan.events.iter().flatten() {
        event.gate.names(&mut names);
        if let Arguments::Members(fields) = &event.arguments {
            fields_names(fields, &mut names);
        }
    }
    names
}

/// The Rust type of a built-in type.
pub(super) fn builtin_name(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::Str => "String",
        Builtin::Number => "f64",
        Builtin::Int | Builtin::Int64 => "i64",
        Builtin::Int8 => "i8",
        Builtin::Int16 => "i16",
        Builtin::Int32 => "i32",
        Builtin::Uint8 => "u8",
        Builtin::Uint16 => "u16",
        Builtin::Uint32 => "u32",
        Builtin::Uint64 | Builtin::Size => "u64",
        Builtin::Bool => "bool",
        Builtin::Any => "Value",
        Builtin::Null => "Null",
    }
}
