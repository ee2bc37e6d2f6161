//! The checked schema.
//!
//! A [`Schema`] is made by [`check`](crate::check) alone and cannot be changed: whoever holds one
//! may rely on every rule of the language. Entities live in arenas and refer to each other by
//! typed ids; every list is in the order of definition, so that output depends on the input alone.

mod command;
mod condition;
mod definition;
mod doc;
mod pragma;
mod subset;
mod told;
mod types;
mod walk;

pub use command::{Command, Event};
pub use condition::{Condition, Configuration, ConfigurationError};
pub use definition::{Definition, Part, PartRole};
pub use doc::{Doc, DocSection, DocSectionKind};
pub use pragma::{Exception, ExceptionKind, Pragmas};
pub use subset::UndefinedNames;
pub(crate) use told::{ToldName, ToldNames};
pub use types::{
    Alternate, Branch, Builtin, Enum, EnumValue, Member, Object, ObjectKind, Type, TypeKind,
    Variants,
};
pub use walk::TypeSet;

use hashbrown::HashMap;
use std::sync::Arc;

use crate::source::{SourceMap, Span};
use crate::steps::step;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
        step();
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
        step();
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

/// A checked schema.
#[derive(Debug)]
pub struct Schema {
    pub(crate) sources: Arc<SourceMap>,
    pub(crate) modules: Vec<Module>,
    pub(crate) types: Vec<Type>,
    pub(crate) commands: Vec<Command>,
    pub(crate) events: Vec<Event>,
    pub(crate) docs: Vec<Doc>,
    pub(crate) pragmas: Pragmas,
    pub(crate) entities: Vec<Entity>,
    pub(crate) names: HashMap<String, Entity>,
    pub(crate) empty: TypeId,
    /// Of a schema that was made of introspection.
    pub(crate) told: Option<ToldNames>,
}

impl Schema {
    /// The sources it was read from.
    #[must_use]
    pub fn sources(&self) -> &Arc<SourceMap> {
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

    /// The pragmas of all files together.
    #[must_use]
    pub fn pragmas(&self) -> &Pragmas {
        &self.pragmas
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
        step();
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
}
