//! Walks over a schema: who uses whom, what can be reached, which members an object has.
//!
//! A schema is a graph: a type may be used by many others, and may contain itself by way of an
//! array, an optional member or an alternate. Each walk visits an entity once and keeps its stack
//! itself, so it takes time and memory in proportion to what it visits, however deep that is.

use super::{Condition, Configuration, Entity, Member, Schema, TypeId, TypeKind};

/// A set of types of one schema, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct TypeSet {
    is_in: Vec<bool>,
    order: Vec<TypeId>,
}

impl TypeSet {
    /// Adds `id`; says whether it is new.
    pub fn insert(&mut self, id: TypeId) -> bool {
        let index = id.index();
        if self.is_in.len() <= index {
            self.is_in.resize(index + 1, false);
        }
        let is_new = !std::mem::replace(&mut self.is_in[index], true);
        if is_new {
            self.order.push(id);
        }
        is_new
    }

    /// Whether it has `id`.
    #[must_use]
    pub fn contains(&self, id: TypeId) -> bool {
        self.is_in.get(id.index()).copied().unwrap_or(false)
    }

    /// Its types, in the order in which they were added.
    #[must_use]
    pub fn types(&self) -> &[TypeId] {
        &self.order
    }
}

impl Schema {
    /// Every type that `entity` names or holds itself: base, arguments, result, types of members,
    /// of branches and of the discriminator, the element of an array. Objects that hold members
    /// written in place are among them.
    pub fn mentions(&self, entity: Entity) -> impl Iterator<Item = TypeId> + use<'_> {
        let (first, second, kind) = match entity {
            Entity::Include(_) => (None, None, None),
            Entity::Command(id) => {
                let command = self.command(id);
                (command.arguments(), command.returns(), None)
            }
            Entity::Event(id) => (self.event(id).arguments(), None, None),
            Entity::Type(id) => match self.ty(id).kind() {
                TypeKind::Array(element) => (Some(*element), None, None),
                TypeKind::Object(object) => (object.base(), None, Some(self.ty(id).kind())),
                kind @ (TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Alternate(_)) => {
                    (None, None, Some(kind))
                }
            },
        };
        let variants = match kind {
            Some(TypeKind::Object(object)) => object.variants(),
            Some(
                TypeKind::Builtin(_)
                | TypeKind::Enum(_)
                | TypeKind::Array(_)
                | TypeKind::Alternate(_),
            )
            | None => None,
        };
        let members = kind.into_iter().flat_map(TypeKind::local_members);
        let branches = kind.into_iter().flat_map(TypeKind::branches);
        first
            .into_iter()
            .chain(second)
            .chain(members.map(|member| member.type_id()))
            .chain(variants.map(|variants| variants.tag_type()))
            .chain(branches.map(|branch| branch.type_id()))
    }

    /// The types that a reader finds named in the definition `entity`: those of [`mentions`], with
    /// what stands in place taken apart and arrays replaced by their elements.
    ///
    /// [`mentions`]: Self::mentions
    pub fn uses(&self, entity: Entity) -> impl Iterator<Item = TypeId> + use<'_> {
        let (first, returns) = match entity {
            Entity::Include(_) => (None, None),
            Entity::Command(id) => {
                let command = self.command(id);
                (command.arguments(), command.returns())
            }
            Entity::Event(id) => (self.event(id).arguments(), None),
            Entity::Type(id) => (self.base(id), None),
        };
        let lists = self.objects_in_place(entity).flat_map(|id| {
            // The base was the first.
            let n_bases = usize::from(self.base(id).is_some());
            self.mentions(Entity::Type(id)).skip(n_bases)
        });
        first
            .filter(|id| !self.is_in_place(*id))
            .into_iter()
            .chain(returns)
            .chain(lists)
            .map(|id| match self.ty(id).kind() {
                TypeKind::Array(element) => *element,
                TypeKind::Builtin(_)
                | TypeKind::Enum(_)
                | TypeKind::Object(_)
                | TypeKind::Alternate(_) => id,
            })
            .filter(|id| *id != self.empty_object())
    }

    /// The types `roots` and every type that can be reached from them, each once.
    pub fn reachable(&self, roots: impl IntoIterator<Item = TypeId>) -> TypeSet {
        let mut set = TypeSet::default();
        for root in roots {
            set.insert(root);
        }
        // The set is its own queue.
        let mut next = 0;
        while let Some(&id) = set.order.get(next) {
            for used in self.mentions(Entity::Type(id)) {
                set.insert(used);
            }
            next += 1;
        }
        set
    }

    /// Every type that a command or an event uses, if only by way of others.
    #[must_use]
    pub fn interface_types(&self) -> TypeSet {
        let commands = self.commands().iter();
        let of_commands = commands.flat_map(|it| it.arguments().into_iter().chain(it.returns()));
        let of_events = self.events().iter().filter_map(|event| event.arguments());
        self.reachable(of_commands.chain(of_events))
    }

    /// The object type `id`, its base, the base of that, and so on.
    pub fn ancestors(&self, id: TypeId) -> impl Iterator<Item = TypeId> + use<'_> {
        std::iter::successors(Some(id), |id| self.base(*id))
    }

    fn base(&self, id: TypeId) -> Option<TypeId> {
        self.ty(id).as_object().and_then(|object| object.base())
    }

    /// All members of the object type `id`, those of its bases first, without its branches; each
    /// with the type that lists it.
    pub fn members_with_origin(
        &self,
        id: TypeId,
    ) -> impl Iterator<Item = (TypeId, &Member)> + use<'_> {
        let ancestors: Vec<TypeId> = self.ancestors(id).collect();
        ancestors.into_iter().rev().flat_map(|owner| {
            let members = self.ty(owner).kind().local_members();
            members.iter().map(move |member| (owner, member))
        })
    }

    /// All members of the object type `id`, those of its bases first, without its branches.
    pub fn members(&self, id: TypeId) -> impl Iterator<Item = &Member> + use<'_> {
        self.members_with_origin(id).map(|(_, member)| member)
    }
}

impl Configuration {
    /// The first name in `condition` that is neither set nor unset.
    #[must_use]
    pub fn first_open<'c>(&self, condition: &'c Condition) -> Option<&'c str> {
        let mut names = condition.names().into_iter();
        names.find(|name| self.get(name).is_none())
    }
}
