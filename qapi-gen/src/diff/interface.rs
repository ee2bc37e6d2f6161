//! An interface as it shows on the wire.

use std::collections::HashSet;

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
    pub(crate) commands: IndexMap<String, Command>,
    pub(crate) events: IndexMap<String, Event>,
    pub(crate) types: Vec<Shape>,
    /// The features of types that have no name in introspection data.
    pub(crate) features: Vec<Vec<String>>,
    /// For an interface that was learned from what a program says: the lines in which types were seen first.
    pub(crate) lines: Vec<Option<u32>>,
}

/// The position of a type in an [`Interface`].
pub(crate) type ShapeId = usize;

/// What commands, events, members and values have in common.
#[derive(Debug, Default, Clone)]
pub(crate) struct Common {
    pub(crate) features: Vec<String>,
    /// The condition that the configuration leaves open; empty where it is there for certain.
    pub(crate) condition: String,
    pub(crate) span: Option<Span>,
    /// The line in which a program was seen to use it.
    pub(crate) line: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) common: Common,
    pub(crate) arguments: ShapeId,
    pub(crate) returns: ShapeId,
    pub(crate) allows_oob: bool,
    /// The line in which a program executed it out of band.
    pub(crate) oob_line: Option<u32>,
    /// `None` where introspection does not tell.
    pub(crate) has_success_response: Option<bool>,
    /// Whether it takes more arguments than it tells of (QAPI: 'gen' false).
    pub(crate) takes_anything: bool,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) common: Common,
    pub(crate) data: ShapeId,
}

/// The values of a type.
#[derive(Debug)]
pub(crate) enum Shape {
    Scalar(Scalar),
    Enum(Enum),
    Array(ShapeId),
    Object(Object),
    Alternate(Vec<ShapeId>),
}

/// A built-in type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
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
pub(crate) struct Enum {
    pub(crate) values: Vec<EnumValue>,
    pub(crate) by_name: ByName,
}

#[derive(Debug)]
pub(crate) struct EnumValue {
    pub(crate) name: String,
    pub(crate) common: Common,
}

#[derive(Debug, Default)]
pub(crate) struct Object {
    pub(crate) members: Vec<Member>,
    pub(crate) tag: Option<String>,
    /// By value of the tag; a value without a branch has no further members.
    pub(crate) branches: Vec<(String, ShapeId)>,
    pub(crate) members_by_name: ByName,
    pub(crate) branches_by_name: ByName,
    /// Whether a program may send members beside these.
    pub(crate) is_partial: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) shape: ShapeId,
    pub(crate) is_optional: bool,
    /// The line of a program that does not send it.
    pub(crate) absent: Option<u32>,
    pub(crate) common: Common,
}

impl Enum {
    pub(crate) fn of(values: impl IntoIterator<Item = EnumValue>) -> Self {
        Self {
            values: values.into_iter().collect(),
            by_name: ByName::default(),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&EnumValue> {
        let name_of = |index: usize| Some(&*self.values[index].name);
        let index = self.by_name.find(name, self.values.len(), name_of);
        index.map(|index| &self.values[index])
    }
}

impl Object {
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        let index = self
            .members_by_name
            .find(name, self.members.len(), |index| {
                Some(&*self.members[index].name)
            });
        index.map(|index| &self.members[index])
    }

    pub(crate) fn branch(&self, case: &str) -> Option<ShapeId> {
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

    /// The ways in which a value of the type may look: the branches of an alternate.
    pub(crate) fn options(&self, id: ShapeId) -> Vec<ShapeId> {
        let mut options = Vec::new();
        let mut open = vec![id];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            match &self.types[id] {
                _ if !seen.insert(id) => {}
                Shape::Alternate(branches) => open.extend(branches.iter().rev()),
                Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Object(_) => {
                    options.push(id);
                }
            }
        }
        options
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
            line: None,
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
            oob_line: None,
            has_success_response: Some(command.has_success_response()),
            takes_anything: !command.is_generated(),
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
                    absent: None,
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
