//! An interface as it shows on the wire.

use indexmap::IndexMap;

use crate::ir::{
    Branch, Builtin, Condition, Configuration, Entity, Feature, Module, Schema, Type, TypeId,
    TypeKind,
};
use crate::source::Span;
use crate::text::ByName;

/// Commands, events, and the types that their values have.
#[derive(Debug, Default)]
pub struct Interface {
    pub(super) commands: IndexMap<String, Command>,
    pub(super) events: IndexMap<String, Event>,
    pub(super) types: Vec<Shape>,
    /// The features of types that have no name in introspection data.
    pub(super) features: Vec<Vec<String>>,
}

/// The position of a type in an [`Interface`].
pub(super) type ShapeId = usize;

/// What commands, events, members and values have in common.
#[derive(Debug, Default, Clone)]
pub(super) struct Common {
    pub(super) features: Vec<String>,
    /// The condition that the configuration leaves open; empty where it is there for certain.
    pub(super) condition: String,
    pub(super) span: Option<Span>,
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) common: Common,
    pub(super) arguments: ShapeId,
    pub(super) returns: ShapeId,
    pub(super) allows_oob: bool,
    /// `None` where introspection does not tell.
    pub(super) has_success_response: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) common: Common,
    pub(super) data: ShapeId,
}

/// The values of a type.
#[derive(Debug)]
pub(super) enum Shape {
    Scalar(Scalar),
    Enum(Enum),
    Array(ShapeId),
    Object(Object),
    Alternate(Vec<ShapeId>),
}

/// A built-in type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    String,
    Number,
    /// The smallest and the largest value, where the schema says so.
    Int(Option<(i128, i128)>),
    Bool,
    Null,
    Any,
}

/// The values of an enumeration.
#[derive(Debug, Default)]
pub(super) struct Enum {
    pub(super) values: Vec<EnumValue>,
    pub(super) by_name: ByName,
}

#[derive(Debug)]
pub(super) struct EnumValue {
    pub(super) name: String,
    pub(super) common: Common,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) members: Vec<Member>,
    pub(super) tag: Option<String>,
    /// By value of the tag; a value without a branch has no further members.
    pub(super) branches: Vec<(String, ShapeId)>,
    pub(super) members_by_name: ByName,
    pub(super) branches_by_name: ByName,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) shape: ShapeId,
    pub(super) is_optional: bool,
    pub(super) common: Common,
}

impl Enum {
    pub(super) fn of(values: impl IntoIterator<Item = EnumValue>) -> Self {
        Self {
            values: values.into_iter().collect(),
            by_name: ByName::default(),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&EnumValue> {
        let name_of = |index: usize| Some(&*self.values[index].name);
        let index = self.by_name.find(name, self.values.len(), name_of);
        index.map(|index| &self.values[index])
    }
}

impl Object {
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        let index = self
            .members_by_name
            .find(name, self.members.len(), |index| {
                Some(&*self.members[index].name)
            });
        index.map(|index| &self.members[index])
    }

    pub(super) fn branch(&self, case: &str) -> Option<ShapeId> {
        let index = self
            .branches_by_name
            .find(case, self.branches.len(), |index| {
                Some(&*self.branches[index].0)
            });
        index.map(|index| self.branches[index].1)
    }
}

impl Interface {
    /// The interface of `schema`. What has a condition that does not hold under `configuration` is
    /// not there; a condition that stays open counts as holding.
    #[must_use]
    pub fn of_schema(schema: &Schema, configuration: &Configuration) -> Self {
        let reader = SchemaReader {
            schema,
            configuration,
        };
        let mut interface = Self::default();
        for (id, ty) in schema.types() {
            interface.types.push(reader.shape(id, ty));
            interface.features.push(reader.features(ty.features()));
        }
        for entity in schema.modules().iter().flat_map(Module::entities) {
            match *entity {
                Entity::Command(id) => reader.add_command(id, &mut interface),
                Entity::Event(id) => reader.add_event(id, &mut interface),
                Entity::Type(_) | Entity::Include(_) => {}
            }
        }
        interface
    }
}

struct SchemaReader<'a> {
    schema: &'a Schema,
    configuration: &'a Configuration,
}

impl SchemaReader<'_> {
    fn is_there(&self, condition: &Condition) -> bool {
        condition.resolve(self.configuration) != Some(false)
    }

    fn features(&self, features: &[Feature]) -> Vec<String> {
        let present = features
            .iter()
            .filter(|feature| self.is_there(feature.condition()));
        present.map(|feature| feature.name().to_owned()).collect()
    }

    fn common(&self, features: &[Feature], condition: &Condition, span: Option<Span>) -> Common {
        let is_open = condition.resolve(self.configuration).is_none();
        let condition = if is_open {
            condition.to_string()
        } else {
            String::new()
        };
        Common {
            features: self.features(features),
            condition,
            span,
        }
    }

    fn add_command(&self, id: crate::ir::CommandId, interface: &mut Interface) {
        let command = self.schema.command(id);
        if !self.is_there(command.condition()) {
            return;
        }
        let empty = self.schema.empty_object();
        let span = command.name_span();
        let it = Command {
            common: self.common(command.features(), command.condition(), span),
            arguments: command.arguments().unwrap_or(empty).index(),
            returns: command.returns().unwrap_or(empty).index(),
            allows_oob: command.allows_oob(),
            has_success_response: Some(command.has_success_response()),
        };
        interface.commands.insert(command.name().to_owned(), it);
    }

    fn add_event(&self, id: crate::ir::EventId, interface: &mut Interface) {
        let event = self.schema.event(id);
        if !self.is_there(event.condition()) {
            return;
        }
        let it = Event {
            common: self.common(event.features(), event.condition(), event.name_span()),
            data: event
                .arguments()
                .unwrap_or(self.schema.empty_object())
                .index(),
        };
        interface.events.insert(event.name().to_owned(), it);
    }

    fn shape(&self, id: TypeId, ty: &Type) -> Shape {
        let there = |branch: &&Branch| self.is_there(branch.condition());
        match ty.kind() {
            TypeKind::Builtin(builtin) => Shape::Scalar(scalar(*builtin)),
            TypeKind::Enum(values) => {
                let values = values.values().iter();
                let present = values.filter(|value| self.is_there(value.condition()));
                let value = |value: &crate::ir::EnumValue| EnumValue {
                    name: value.name().to_owned(),
                    common: self.common(value.features(), value.condition(), value.span()),
                };
                Shape::Enum(Enum::of(present.map(value)))
            }
            TypeKind::Array(element) => Shape::Array(element.index()),
            TypeKind::Object(object) => {
                let members = self.schema.members(id);
                let present = members.filter(|member| self.is_there(member.condition()));
                let member = |member: &crate::ir::Member| Member {
                    name: member.name().to_owned(),
                    shape: member.type_id().index(),
                    is_optional: member.is_optional(),
                    common: self.common(member.features(), member.condition(), Some(member.span())),
                };
                let variants = object.variants();
                let branches = object.branches();
                let branch = |branch: &Branch| (branch.name().to_owned(), branch.type_id().index());
                Shape::Object(Object {
                    members: present.map(member).collect(),
                    tag: variants.map(|variants| variants.tag().to_owned()),
                    branches: branches.iter().filter(there).map(branch).collect(),
                    ..Object::default()
                })
            }
            TypeKind::Alternate(alternate) => {
                let branches = alternate.branches().iter().filter(there);
                Shape::Alternate(branches.map(|branch| branch.type_id().index()).collect())
            }
        }
    }
}

fn scalar(builtin: Builtin) -> Scalar {
    let signed = |bits: u32| Scalar::Int(Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)));
    let unsigned = |bits: u32| Scalar::Int(Some((0, (1 << bits) - 1)));
    match builtin {
        Builtin::Str => Scalar::String,
        Builtin::Number => Scalar::Number,
        Builtin::Int8 => signed(8),
        Builtin::Int16 => signed(16),
        Builtin::Int32 => signed(32),
        Builtin::Int | Builtin::Int64 => signed(64),
        Builtin::Uint8 => unsigned(8),
        Builtin::Uint16 => unsigned(16),
        Builtin::Uint32 => unsigned(32),
        Builtin::Uint64 | Builtin::Size => unsigned(64),
        Builtin::Bool => Scalar::Bool,
        Builtin::Any => Scalar::Any,
        Builtin::Null => Scalar::Null,
    }
}
