//! Definitions as their author wrote them: six kinds, each with a name and parts.
//!
//! The arenas hold more than that: built-in types, arrays, and the objects of members that are
//! written in place. What the author wrote is asked here.

use super::{
    Branch, Condition, DefinitionKind, Entity, Feature, Header, Member, ObjectKind, Schema, TypeId,
    TypeKind,
};
use crate::source::Span;

/// A definition that the schema's author wrote.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'s> {
    schema: &'s Schema,
    kind: DefinitionKind,
    header: &'s Header,
    entity: Entity,
    name_span: Span,
}

/// What a part is to its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartRole {
    /// A member of a struct or union, an argument of a command, a member of an event's data.
    Member,
    /// A value of an enumeration.
    Value,
    /// A branch of a union or alternate.
    Branch,
}

impl PartRole {
    /// What messages call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Value => "value",
            Self::Branch => "branch",
        }
    }
}

/// What a definition lists.
#[derive(Debug, Clone, Copy)]
pub struct Part<'s> {
    role: PartRole,
    name: &'s str,
    span: Span,
    type_id: Option<TypeId>,
    condition: &'s Condition,
    features: &'s [Feature],
}

impl<'s> Part<'s> {
    /// What it is.
    #[must_use]
    pub fn role(&self) -> PartRole {
        self.role
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'s str {
        self.name
    }

    /// Where its name stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Its type; a value of an enumeration has no type.
    #[must_use]
    pub fn type_id(&self) -> Option<TypeId> {
        self.type_id
    }

    /// The configurations in which it is there, apart from those of its definition.
    #[must_use]
    pub fn condition(&self) -> &'s Condition {
        self.condition
    }

    /// Its features.
    #[must_use]
    pub fn features(&self) -> &'s [Feature] {
        self.features
    }

    fn member(member: &'s Member) -> Self {
        Self {
            role: PartRole::Member,
            name: member.name(),
            span: member.span(),
            type_id: Some(member.type_id()),
            condition: member.condition(),
            features: member.features(),
        }
    }

    /// A branch that the schema lists.
    fn branch(branch: &'s Branch) -> Option<Self> {
        Some(Self {
            role: PartRole::Branch,
            name: branch.name(),
            span: branch.span()?,
            type_id: Some(branch.type_id()),
            condition: branch.condition(),
            features: &[],
        })
    }
}

impl Schema {
    /// Every definition of the author, in order.
    pub fn definitions(&self) -> impl Iterator<Item = Definition<'_>> {
        self.entities()
            .iter()
            .filter_map(|&entity| self.definition(entity))
    }

    /// The definition that `entity` is; `None` for an include, and for a type that the author did
    /// not name.
    #[must_use]
    pub fn definition(&self, entity: Entity) -> Option<Definition<'_>> {
        let (kind, header): (_, &Header) = match entity {
            Entity::Include(_) => return None,
            Entity::Command(id) => (DefinitionKind::Command, self.command(id)),
            Entity::Event(id) => (DefinitionKind::Event, self.event(id)),
            Entity::Type(id) => {
                let ty = self.ty(id);
                let kind = match ty.kind() {
                    TypeKind::Enum(_) => DefinitionKind::Enum,
                    TypeKind::Alternate(_) => DefinitionKind::Alternate,
                    TypeKind::Object(object) => match object.kind() {
                        ObjectKind::Struct => DefinitionKind::Struct,
                        ObjectKind::Union => DefinitionKind::Union,
                        ObjectKind::Empty | ObjectKind::Arguments | ObjectKind::Base => {
                            return None;
                        }
                    },
                    TypeKind::Builtin(_) | TypeKind::Array(_) => return None,
                };
                (kind, ty)
            }
        };
        Some(Definition {
            schema: self,
            kind,
            header,
            entity,
            name_span: header.name_span()?,
        })
    }

    /// What every definition has, also for types that the author did not name; `None` for an
    /// include.
    #[must_use]
    pub fn header(&self, entity: Entity) -> Option<&Header> {
        match entity {
            Entity::Include(_) => None,
            Entity::Type(id) => Some(self.ty(id)),
            Entity::Command(id) => Some(self.command(id)),
            Entity::Event(id) => Some(self.event(id)),
        }
    }

    /// Whether the type holds members that a definition writes in place.
    #[must_use]
    pub fn is_in_place(&self, id: TypeId) -> bool {
        self.ty(id)
            .as_object()
            .is_some_and(|object| matches!(object.kind(), ObjectKind::Arguments | ObjectKind::Base))
    }

    /// The objects that hold the members which `entity` writes in place: those of its base or its
    /// arguments first, then itself.
    pub fn objects_in_place(&self, entity: Entity) -> impl Iterator<Item = TypeId> + use<'_> {
        let (used, own) = match entity {
            Entity::Include(_) => (None, None),
            Entity::Command(id) => (self.command(id).arguments(), None),
            Entity::Event(id) => (self.event(id).arguments(), None),
            Entity::Type(id) => {
                let object = self.ty(id).as_object();
                (object.and_then(|object| object.base()), Some(id))
            }
        };
        used.filter(|id| self.is_in_place(*id))
            .into_iter()
            .chain(own)
    }
}

impl<'s> Definition<'s> {
    /// Which of the six kinds it is.
    #[must_use]
    pub fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'s str {
        self.header.name()
    }

    /// Where its name stands.
    #[must_use]
    pub fn name_span(&self) -> Span {
        self.name_span
    }

    /// What every definition has.
    #[must_use]
    pub fn header(&self) -> &'s Header {
        self.header
    }

    /// Where it is in the schema.
    #[must_use]
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// The members that it writes in place, its values, and the branches that it lists.
    pub fn parts(&self) -> impl Iterator<Item = Part<'s>> + use<'s> {
        let schema = self.schema;
        let members = schema
            .objects_in_place(self.entity)
            .filter_map(|id| schema.ty(id).as_object())
            .flat_map(|object| object.local_members())
            .map(Part::member);
        let kind = match self.entity {
            Entity::Type(id) => Some(schema.ty(id).kind()),
            Entity::Include(_) | Entity::Command(_) | Entity::Event(_) => None,
        };
        let values = match kind {
            Some(TypeKind::Enum(values)) => values.values(),
            Some(
                TypeKind::Builtin(_)
                | TypeKind::Array(_)
                | TypeKind::Object(_)
                | TypeKind::Alternate(_),
            )
            | None => &[],
        };
        let branches = kind.into_iter().flat_map(TypeKind::branches);
        let values = values.iter().filter_map(|value| {
            Some(Part {
                role: PartRole::Value,
                name: value.name(),
                span: value.span()?,
                type_id: None,
                condition: value.condition(),
                features: value.features(),
            })
        });
        members
            .chain(branches.filter_map(Part::branch))
            .chain(values)
    }

    /// Every condition in it: its own, those of its parts, and those of all features.
    pub fn conditions(&self) -> impl Iterator<Item = &'s Condition> + use<'s> {
        let own = self.header.features().iter().map(Feature::condition);
        let parts = self.parts().flat_map(|part| {
            let features = part.features.iter().map(Feature::condition);
            std::iter::once(part.condition).chain(features)
        });
        std::iter::once(self.header.condition())
            .chain(own)
            .chain(parts)
    }
}
