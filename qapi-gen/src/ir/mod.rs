//! The checked schema.
//!
//! A [`Schema`] is made by [`check`](crate::check) alone and cannot be changed: code that has one
//! may rely on every rule of the language. Entities live in arenas and refer to each other by
//! typed ids; every list is in the order of definition, so that output depends on the input alone.

mod attributes;
mod command;
mod condition;
mod definition;
mod doc;
mod pragma;
mod subset;
mod told;
mod types;
mod walk;

pub(crate) use attributes::Attributes;
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

use std::hash::BuildHasher as _;
use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::name::Name;
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
            pub struct $name(NonZeroU32);

            impl $name {
                pub(crate) fn new(index: usize) -> Self {
                    // A schema has fewer entities than bytes, and those fit 32 bits. It is one more, so that an
                    // `Option` of it takes no more room.
                    Self(NonZeroU32::MIN.saturating_add(index as u32))
                }

                /// The position in the arena, from 0.
                #[must_use]
                pub fn index(self) -> usize {
                    self.0.get() as usize - 1
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
    pub(crate) name: Name,
    pub(crate) attributes: Attributes,
    pub(crate) span: Span,
}

impl Feature {
    /// Its name; `deprecated` and `unstable` are special.
    #[must_use]
    pub fn name(&self) -> &str {
        step();
        &self.name
    }

    /// The condition under which it exists: [`Condition::Always`] unless the schema has an 'if' for it. A
    /// [`Configuration`] decides it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        self.attributes.condition()
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
    pub(crate) name: Name,
    pub(crate) span: Option<Span>,
    pub(crate) name_span: Option<Span>,
    pub(crate) module: ModuleId,
    pub(crate) attributes: Attributes,
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

    /// The condition under which it exists: [`Condition::Always`] unless the schema has an 'if' for it. A
    /// [`Configuration`] decides it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        self.attributes.condition()
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        self.attributes.features()
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

/// Entities by their names, which stand with the entities.
#[derive(Debug, Default)]
pub(crate) struct Names {
    table: HashTable<Entity>,
    hasher: DefaultHashBuilder,
}

impl Names {
    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// The names of all `entities` except includes. `name_of` gives each its name, and no two have the same.
    pub(crate) fn of<'n>(entities: &[Entity], name_of: impl Fn(Entity) -> Option<&'n str>) -> Self {
        let mut names = Self {
            table: HashTable::with_capacity(entities.len()),
            hasher: DefaultHashBuilder::default(),
        };
        for entity in entities {
            let Some(name) = name_of(*entity) else {
                continue;
            };
            let hasher = &names.hasher;
            let rehash = |entity: &Entity| hasher.hash_one(name_of(*entity).unwrap_or_default());
            names
                .table
                .insert_unique(hasher.hash_one(name), *entity, rehash);
        }
        names
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
    pub(crate) pragmas: Pragmas,
    pub(crate) entities: Vec<Entity>,
    pub(crate) names: Names,
    pub(crate) empty: TypeId,
    /// What a server told, if the schema was made from introspection.
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
        let found = self.names.table.find(self.names.hash(name), |entity| {
            self.header(*entity)
                .is_some_and(|header| &*header.name == name)
        });
        found.copied()
    }

    /// A type.
    ///
    /// # Panics
    ///
    /// The id is that of another schema, which has more of them.
    #[must_use]
    pub fn ty(&self, id: TypeId) -> &Type {
        step();
        &self.types[id.index()]
    }

    /// A command.
    ///
    /// # Panics
    ///
    /// The id is that of another schema, which has more of them.
    #[must_use]
    pub fn command(&self, id: CommandId) -> &Command {
        &self.commands[id.index()]
    }

    /// An event.
    ///
    /// # Panics
    ///
    /// The id is that of another schema, which has more of them.
    #[must_use]
    pub fn event(&self, id: EventId) -> &Event {
        &self.events[id.index()]
    }

    /// A module.
    ///
    /// # Panics
    ///
    /// The id is that of another schema, which has more of them.
    #[must_use]
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.index()]
    }

    /// A documentation comment.
    ///
    /// # Panics
    ///
    /// The id is that of another schema, which has more of them.
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
