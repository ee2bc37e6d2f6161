//! Types.

use super::{Attributes, Condition, Feature, Header, TypeId};
use crate::name::Name;
use crate::source::Span;
use crate::steps::step;
use crate::text::ByName;

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
    /// A built-in type that is not an enumeration.
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
    pub(crate) values: Box<[EnumValue]>,
    pub(crate) prefix: Option<Name>,
    pub(crate) by_name: ByName,
}

impl Enum {
    /// The values in schema order.
    #[must_use]
    pub fn values(&self) -> &[EnumValue] {
        &self.values
    }

    /// The value `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&EnumValue> {
        let name_of = |index: usize| Some(&*self.values[index].name);
        let index = self.by_name.find(name, self.values.len(), name_of);
        index.map(|index| &self.values[index])
    }

    /// The prefix of C constants, where the schema sets one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }
}

/// A value of an enumeration.
#[derive(Debug, Clone)]
pub struct EnumValue {
    pub(crate) name: Name,
    pub(crate) attributes: Attributes,
    pub(crate) span: Option<Span>,
}

impl EnumValue {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        step();
        &self.name
    }

    /// The condition under which it exists: [`Condition::Always`] unless the schema has an 'if' for it. A
    /// [`Configuration`](crate::ir::Configuration) decides it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        self.attributes.condition()
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        self.attributes.features()
    }

    /// Where its name stands; `None` for the values of `QType`.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

impl TypeKind {
    /// The members that an object lists itself; empty for other types.
    pub(crate) fn local_members(&self) -> &[Member] {
        match self {
            Self::Object(object) => object.local_members(),
            Self::Builtin(_) | Self::Enum(_) | Self::Array(_) | Self::Alternate(_) => &[],
        }
    }

    /// The branches of a union or an alternate; empty for other types.
    pub(crate) fn branches(&self) -> &[Branch] {
        match self {
            Self::Object(object) => object.branches(),
            Self::Alternate(alternate) => alternate.branches(),
            Self::Builtin(_) | Self::Enum(_) | Self::Array(_) => &[],
        }
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
    pub(crate) members: Box<[Member]>,
    pub(crate) variants: Option<Box<Variants>>,
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
        self.variants.as_deref()
    }

    /// Its branches, if it is a union; none otherwise.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        self.variants
            .as_ref()
            .map_or(&[][..], |variants| &variants.branches)
    }
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    pub(crate) name: Name,
    pub(crate) type_id: TypeId,
    pub(crate) optional: bool,
    pub(crate) attributes: Attributes,
    pub(crate) span: Span,
}

impl Member {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        step();
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

    /// The condition under which it exists: [`Condition::Always`] unless the schema has an 'if' for it. A
    /// [`Configuration`](crate::ir::Configuration) decides it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        self.attributes.condition()
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        self.attributes.features()
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
    pub(crate) tag: Name,
    pub(crate) tag_type: TypeId,
    pub(crate) branches: Box<[Branch]>,
    pub(crate) by_name: ByName,
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

    /// The branch for the value `name`.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&Branch> {
        let name_of = |index: usize| Some(&*self.branches[index].name);
        let index = self.by_name.find(name, self.branches.len(), name_of);
        index.map(|index| &self.branches[index])
    }
}

/// A branch of a union or of an alternate.
#[derive(Debug)]
pub struct Branch {
    pub(crate) name: Name,
    pub(crate) type_id: TypeId,
    pub(crate) attributes: Attributes,
    pub(crate) span: Option<Span>,
}

impl Branch {
    /// The name: for a union a value of the discriminator.
    #[must_use]
    pub fn name(&self) -> &str {
        step();
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// The condition under which it exists: [`Condition::Always`] unless the schema has an 'if' for it. A
    /// [`Configuration`](crate::ir::Configuration) decides it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        self.attributes.condition()
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
    pub(crate) branches: Box<[Branch]>,
}

impl Alternate {
    /// The branches in schema order; no two take the same kind of JSON value.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }
}
