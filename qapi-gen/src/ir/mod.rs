//! The checked schema.
//!
//! A [`Schema`] is made by [`check`](crate::check) alone and cannot be changed: whoever holds one
//! may rely on every rule of the language. Entities live in arenas and refer to each other by
//! typed ids; every list is in the order of definition, so that output depends on the input alone.

mod condition;
mod doc;

pub use condition::{Condition, Configuration};
pub use doc::{Doc, DocSection, DocSectionKind};

use std::collections::HashMap;
use std::sync::Arc;

use crate::source::{SourceMap, Span};

/// The six kinds of definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefinitionKind {
    /// `enum`
    Enum,
    /// `struct`
    Struct,
    /// `union`
    Union,
    /// `alternate`
    Alternate,
    /// `command`
    Command,
    /// `event`
    Event,
}

impl DefinitionKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Enum,
        Self::Struct,
        Self::Union,
        Self::Alternate,
        Self::Command,
        Self::Event,
    ];

    /// The key that defines it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enum => "enum",
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Alternate => "alternate",
            Self::Command => "command",
            Self::Event => "event",
        }
    }
}

macro_rules! ids {
    ($($(#[$attr:meta])* $name:ident,)*) => {
        $(
            $(#[$attr])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(u32);

            impl $name {
                pub(crate) fn new(index: usize) -> Self {
                    // A schema has fewer entities than bytes, and those fit 32 bits.
                    Self(index as u32)
                }

                /// The position in the arena, from 0.
                #[must_use]
                pub fn index(self) -> usize {
                    self.0 as usize
                }
            }
        )*
    };
}

ids! {
    /// A type of a [`Schema`].
    TypeId,
    /// A command of a [`Schema`].
    CommandId,
    /// An event of a [`Schema`].
    EventId,
    /// A module of a [`Schema`].
    ModuleId,
    /// A documentation comment of a [`Schema`].
    DocId,
}

/// What stands in a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// The `include` of another module.
    Include(ModuleId),
    /// A type.
    Type(TypeId),
    /// A command.
    Command(CommandId),
    /// An event.
    Event(EventId),
}

/// A source file of the schema, or the home of the built-in types.
#[derive(Debug)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) entities: Vec<Entity>,
}

impl Module {
    /// The name of the module of built-in types.
    pub const BUILTIN: &'static str = "./builtin";

    /// The file's path relative to the folder of the main file, or [`Module::BUILTIN`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, in order of definition.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// Whether it holds the built-in types.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        self.name == Self::BUILTIN
    }
}

/// A feature of a definition, member or value.
#[derive(Debug, Clone)]
pub struct Feature {
    pub(crate) name: String,
    pub(crate) condition: Condition,
    pub(crate) span: Span,
}

impl Feature {
    /// Its name; `deprecated` and `unstable` are special.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it is there.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Where its name stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }
}

/// What every definition has.
#[derive(Debug)]
pub struct Header {
    pub(crate) name: String,
    pub(crate) span: Option<Span>,
    pub(crate) name_span: Option<Span>,
    pub(crate) module: ModuleId,
    pub(crate) condition: Condition,
    pub(crate) features: Vec<Feature>,
    pub(crate) doc: Option<DocId>,
}

impl Header {
    /// The QAPI name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole expression; `None` for what is built in.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Where the name stands; `None` for what is built in or implicit.
    #[must_use]
    pub fn name_span(&self) -> Option<Span> {
        self.name_span
    }

    /// The module it belongs to.
    #[must_use]
    pub fn module(&self) -> ModuleId {
        self.module
    }

    /// When it is there.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Its documentation comment.
    #[must_use]
    pub fn doc(&self) -> Option<DocId> {
        self.doc
    }
}

macro_rules! has_header {
    ($($name:ident),*) => {
        $(impl std::ops::Deref for $name {
            type Target = Header;

            fn deref(&self) -> &Header {
                &self.header
            }
        })*
    };
}

has_header!(Type, Command, Event);

/// A type.
#[derive(Debug)]
pub struct Type {
    pub(crate) header: Header,
    pub(crate) kind: TypeKind,
}

impl Type {
    /// What kind of type it is.
    #[must_use]
    pub fn kind(&self) -> &TypeKind {
        &self.kind
    }

    /// The members, if it is a struct or a union.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match &self.kind {
            TypeKind::Object(object) => Some(object),
            TypeKind::Builtin(_)
            | TypeKind::Enum(_)
            | TypeKind::Array(_)
            | TypeKind::Alternate(_) => None,
        }
    }

    /// The values, if it is an enumeration.
    #[must_use]
    pub fn as_enum(&self) -> Option<&Enum> {
        match &self.kind {
            TypeKind::Enum(values) => Some(values),
            TypeKind::Builtin(_)
            | TypeKind::Object(_)
            | TypeKind::Array(_)
            | TypeKind::Alternate(_) => None,
        }
    }

    /// Whether the schema's author named it: false for built-in, array and implicit types.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name_span.is_some()
    }
}

/// The kinds of [`Type`].
#[derive(Debug)]
pub enum TypeKind {
    /// A built-in type that is no enumeration.
    Builtin(Builtin),
    /// An enumeration; `QType` is the built-in one.
    Enum(Enum),
    /// The array of a type.
    Array(TypeId),
    /// A struct, a union, or members written in place.
    Object(Object),
    /// An alternate.
    Alternate(Alternate),
}

/// The built-in types (QAPI: section 'Built-in Types').
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the built-in type of its name")]
pub enum Builtin {
    Str,
    Number,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Size,
    Bool,
    Any,
    Null,
}

impl Builtin {
    /// All of them, in the order of definition.
    pub const ALL: [Self; 15] = [
        Self::Str,
        Self::Number,
        Self::Int,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Size,
        Self::Bool,
        Self::Any,
        Self::Null,
    ];

    /// The name in a schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Number => "number",
            Self::Int => "int",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Size => "size",
            Self::Bool => "bool",
            Self::Any => "any",
            Self::Null => "null",
        }
    }

    /// The JSON type that introspection shows.
    #[must_use]
    pub fn json_type(self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::Number => "number",
            Self::Int
            | Self::Int8
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Uint8
            | Self::Uint16
            | Self::Uint32
            | Self::Uint64
            | Self::Size => "int",
            Self::Bool => "boolean",
            Self::Any => "value",
            Self::Null => "null",
        }
    }
}

/// An enumeration.
#[derive(Debug)]
pub struct Enum {
    pub(crate) values: Vec<EnumValue>,
    pub(crate) prefix: Option<String>,
}

impl Enum {
    /// The values in schema order.
    #[must_use]
    pub fn values(&self) -> &[EnumValue] {
        &self.values
    }

    /// The prefix of C constants, where the schema sets one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }
}

/// A value of an enumeration.
#[derive(Debug)]
pub struct EnumValue {
    pub(crate) name: String,
    pub(crate) condition: Condition,
    pub(crate) features: Vec<Feature>,
    pub(crate) span: Option<Span>,
}

impl EnumValue {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it is there.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Where its name stands; `None` for the values of `QType`.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

/// How an object type came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A `struct`.
    Struct,
    /// A `union`.
    Union,
    /// The built-in object without members.
    Empty,
    /// The arguments of a command or event, written in place.
    Arguments,
    /// The base of a union, written in place.
    Base,
}

/// A struct, a union, or members written in place.
#[derive(Debug)]
pub struct Object {
    pub(crate) kind: ObjectKind,
    pub(crate) base: Option<TypeId>,
    pub(crate) members: Vec<Member>,
    pub(crate) variants: Option<Variants>,
}

impl Object {
    /// How it came to be.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The type whose members come first.
    #[must_use]
    pub fn base(&self) -> Option<TypeId> {
        self.base
    }

    /// Its own members, those of its base not included.
    #[must_use]
    pub fn local_members(&self) -> &[Member] {
        &self.members
    }

    /// Tag and branches, if it is a union.
    #[must_use]
    pub fn variants(&self) -> Option<&Variants> {
        self.variants.as_ref()
    }
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    pub(crate) name: String,
    pub(crate) type_id: TypeId,
    pub(crate) optional: bool,
    pub(crate) condition: Condition,
    pub(crate) features: Vec<Feature>,
    pub(crate) span: Span,
}

impl Member {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// Whether it may be absent.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// When it is there.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Where its name stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }
}

/// The variant part of a union.
#[derive(Debug)]
pub struct Variants {
    pub(crate) tag: String,
    pub(crate) tag_type: TypeId,
    pub(crate) branches: Vec<Branch>,
}

impl Variants {
    /// The name of the discriminator, a member of the base.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The enumeration that is the discriminator's type.
    #[must_use]
    pub fn tag_type(&self) -> TypeId {
        self.tag_type
    }

    /// One branch for each value of the enumeration: first those that the schema lists, in its
    /// order, then the empty ones of the other values.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }
}

/// A branch of a union or of an alternate.
#[derive(Debug)]
pub struct Branch {
    pub(crate) name: String,
    pub(crate) type_id: TypeId,
    pub(crate) condition: Condition,
    pub(crate) span: Option<Span>,
}

impl Branch {
    /// The name: for a union a value of the discriminator.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// When it is there.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Where its name stands; `None` for a branch that the schema does not list.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

/// An alternate.
#[derive(Debug)]
pub struct Alternate {
    pub(crate) branches: Vec<Branch>,
}

impl Alternate {
    /// The branches in schema order; no two take the same kind of JSON value.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }
}

/// A command.
#[derive(Debug)]
pub struct Command {
    pub(crate) header: Header,
    pub(crate) arguments: Option<TypeId>,
    pub(crate) returns: Option<TypeId>,
    pub(crate) boxed: bool,
    pub(crate) gen_: bool,
    pub(crate) success_response: bool,
    pub(crate) allow_oob: bool,
    pub(crate) allow_preconfig: bool,
    pub(crate) coroutine: bool,
}

impl Command {
    /// The object type of its arguments, `None` when it takes none.
    #[must_use]
    pub fn arguments(&self) -> Option<TypeId> {
        self.arguments
    }

    /// The type of its result, `None` when it returns nothing.
    #[must_use]
    pub fn returns(&self) -> Option<TypeId> {
        self.returns
    }

    /// `'boxed': true`: the arguments are handled as one value.
    #[must_use]
    pub fn is_boxed(&self) -> bool {
        self.boxed
    }

    /// False with `'gen': false`: its handler takes and gives JSON.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.gen_
    }

    /// False with `'success-response': false`: success has no reply.
    #[must_use]
    pub fn has_success_response(&self) -> bool {
        self.success_response
    }

    /// Whether it may run out of band.
    #[must_use]
    pub fn allows_oob(&self) -> bool {
        self.allow_oob
    }

    /// Whether it may run before the machine is built.
    #[must_use]
    pub fn allows_preconfig(&self) -> bool {
        self.allow_preconfig
    }

    /// Whether its handler may yield.
    #[must_use]
    pub fn is_coroutine(&self) -> bool {
        self.coroutine
    }
}

/// An event.
#[derive(Debug)]
pub struct Event {
    pub(crate) header: Header,
    pub(crate) arguments: Option<TypeId>,
    pub(crate) boxed: bool,
}

impl Event {
    /// The object type of its data, `None` when it carries none.
    #[must_use]
    pub fn arguments(&self) -> Option<TypeId> {
        self.arguments
    }

    /// `'boxed': true`: the data is handled as one value.
    #[must_use]
    pub fn is_boxed(&self) -> bool {
        self.boxed
    }
}

/// A checked schema.
#[derive(Debug)]
pub struct Schema {
    pub(crate) sources: Arc<SourceMap>,
    pub(crate) modules: Vec<Module>,
    pub(crate) types: Vec<Type>,
    pub(crate) commands: Vec<Command>,
    pub(crate) events: Vec<Event>,
    pub(crate) docs: Vec<Doc>,
    pub(crate) entities: Vec<Entity>,
    pub(crate) names: HashMap<String, Entity>,
    pub(crate) empty: TypeId,
}

impl Schema {
    /// The sources it was read from.
    #[must_use]
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// All modules: the built-in one, then files in the order in which they were read.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// All ids of types, in order of definition, built-in ones first.
    pub fn type_ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..self.types.len()).map(TypeId::new)
    }

    /// All types, in order of definition, built-in ones first.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types
            .iter()
            .enumerate()
            .map(|(index, ty)| (TypeId::new(index), ty))
    }

    /// All commands, in order of definition.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// All events, in order of definition.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// All documentation comments, free-form ones included, in source order.
    #[must_use]
    pub fn docs(&self) -> &[Doc] {
        &self.docs
    }

    /// Every entity, in order of definition.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// The entity of this name.
    #[must_use]
    pub fn entity(&self, name: &str) -> Option<Entity> {
        self.names.get(name).copied()
    }

    /// A type.
    #[must_use]
    pub fn ty(&self, id: TypeId) -> &Type {
        &self.types[id.index()]
    }

    /// A command.
    #[must_use]
    pub fn command(&self, id: CommandId) -> &Command {
        &self.commands[id.index()]
    }

    /// An event.
    #[must_use]
    pub fn event(&self, id: EventId) -> &Event {
        &self.events[id.index()]
    }

    /// A module.
    #[must_use]
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.index()]
    }

    /// A documentation comment.
    #[must_use]
    pub fn doc(&self, id: DocId) -> &Doc {
        &self.docs[id.index()]
    }

    /// The built-in object type without members.
    #[must_use]
    pub fn empty_object(&self) -> TypeId {
        self.empty
    }

    /// All members of the object type `id`, those of its bases first, without its branches.
    #[must_use]
    pub fn members(&self, id: TypeId) -> Vec<&Member> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(object) = next.and_then(|id| self.ty(id).as_object()) {
            chain.push(object);
            next = object.base;
        }
        chain
            .into_iter()
            .rev()
            .flat_map(|object| &object.members)
            .collect()
    }
}
