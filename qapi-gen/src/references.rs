//! What the names in documentation refer to.
//!
//! A name is looked up from near to far: in the definition that is documented, in what it inherits
//! and takes apart, in the types that it uses, and at last in the whole schema. Lints and manuals
//! ask the same questions and get the same answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use hashbrown::{HashMap, HashSet};

use crate::ir::{Branch, Entity, Feature, Header, ModuleId, Schema, TypeId, TypeKind};
use crate::markup::{Reference, ReferenceKind};
use crate::steps::step;

/// How many types are looked through around a definition before the whole schema is.
const MAX_NEIGHBOURS: usize = 200;

/// How many of the types that a definition or a type uses are looked through.
const MAX_USES: usize = 1000;

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'s> {
    /// The definition, or the built-in type.
    Entity(&'s str),
    /// A member, value, branch of an alternate or feature of the definition.
    Part(&'s str, &'s str),
    /// The branch of the union for a value of its discriminator.
    Branch(&'s str, &'s str),
    /// Several definitions have a part of this name, none of which is nearest.
    Parts(&'s str),
    /// The index of all definitions.
    Index,
}

/// Finds what names refer to.
pub struct References<'s> {
    schema: &'s Schema,
    /// Who has a part of a name.
    owners: BTreeMap<&'s str, Owners<'s>>,
    /// The same the other way round: the parts of each definition, by the names of both.
    parts: HashSet<(&'s str, &'s str)>,
    /// Where the branches of unions stand in their lists, by union and value.
    branches: HashMap<(TypeId, &'s str), usize>,
    known: RefCell<Known>,
}

/// The definitions that have a part of one name.
struct Owners<'s> {
    /// The position of the name among all.
    id: usize,
    /// In order of definition.
    all: Vec<&'s str>,
    /// In each module the only one; `None` where there are several.
    only: HashMap<ModuleId, Option<&'s str>>,
}

/// What took a search, by the place where it began and the name's [`Owners::id`]: the type that has
/// the part.
#[derive(Default)]
struct Known {
    around: HashMap<(Entity, usize), Option<TypeId>>,
    in_branches: HashMap<(TypeId, usize), Option<TypeId>>,
}

impl<'s> References<'s> {
    /// Names of `schema`.
    #[must_use]
    pub fn new(schema: &'s Schema) -> Self {
        let mut owners: BTreeMap<&'s str, Owners<'s>> = BTreeMap::new();
        let mut parts = HashSet::new();
        let mut branches = HashMap::new();
        for (id, ty) in schema.types() {
            let of_union = ty.as_object().into_iter().flat_map(|it| it.branches());
            for (index, branch) in of_union.enumerate() {
                branches.entry((id, branch.name())).or_insert(index);
            }
        }
        for &entity in schema.entities() {
            let Some(header) = header(schema, entity) else {
                continue;
            };
            let owner = header.name();
            for part in own_parts(schema, entity) {
                parts.insert((owner, part));
                let n_names = owners.len();
                let owners = owners.entry(part).or_insert_with(|| Owners {
                    id: n_names,
                    all: Vec::new(),
                    only: HashMap::new(),
                });
                if owners.all.last() != Some(&owner) {
                    owners.all.push(owner);
                    let only = owners.only.entry(header.module());
                    only.and_modify(|only| *only = None).or_insert(Some(owner));
                }
            }
        }
        Self {
            schema,
            owners,
            parts,
            branches,
            known: RefCell::default(),
        }
    }

    /// The part `name` of the definition called `owner`, without what it inherits.
    fn own_part(&self, owner: &str, name: &str) -> Option<&'s str> {
        step();
        let is_own = self.parts.contains(&(owner, name));
        let known = is_own.then(|| self.owners.get_key_value(name)).flatten();
        known.map(|(part, _)| *part)
    }

    /// Whether the definition called `owner` has a part `name`, without what it inherits.
    #[cfg(feature = "doc")]
    pub(crate) fn has_part(&self, owner: &str, name: &str) -> bool {
        self.parts.contains(&(owner, name))
    }

    /// Every name of a member, value, branch or feature, in the order of the alphabet, with the
    /// definitions that have it.
    pub fn parts(&self) -> impl Iterator<Item = (&'s str, &[&'s str])> {
        self.owners
            .iter()
            .map(|(name, owners)| (*name, owners.all.as_slice()))
    }

    /// What `reference` refers to in the documentation of `scope`; `None` in a free-form comment.
    #[must_use]
    pub fn resolve(&self, scope: Option<Entity>, reference: &Reference<'_>) -> Option<Target<'s>> {
        let name = reference.name;
        if is_index(name) {
            return Some(Target::Index);
        }
        match reference.kind {
            ReferenceKind::Outside => None,
            ReferenceKind::Definition => self
                .entity(name)
                .or_else(|| self.part(scope, name))
                .or_else(|| self.path(scope, name)),
            ReferenceKind::Member => scope
                .and_then(|scope| self.near(scope, name))
                .or_else(|| self.entity(name))
                .or_else(|| self.part(scope, name))
                .or_else(|| self.path(scope, name)),
        }
    }

    fn entity(&self, name: &str) -> Option<Target<'s>> {
        let entity = self.schema.entity(name)?;
        if let Entity::Type(id) = entity {
            // An array stands for its element, which has a place in the manual.
            if let TypeKind::Array(element) = self.schema.ty(id).kind() {
                return Some(Target::Entity(self.schema.ty(*element).name()));
            }
            if self.schema.is_in_place(id) {
                return None;
            }
        }
        header(self.schema, entity).map(|header| Target::Entity(header.name()))
    }

    /// The part `name` of the definition or of what it inherits, takes or branches to.
    fn near(&self, scope: Entity, name: &str) -> Option<Target<'s>> {
        let schema = self.schema;
        let owner = header(schema, scope)?.name();
        if let Some(part) = self.own_part(owner, name) {
            return Some(Target::Part(owner, part));
        }
        let id = match scope {
            Entity::Include(_) => return None,
            Entity::Type(id) => id,
            Entity::Command(id) => schema.command(id).arguments()?,
            Entity::Event(id) => schema.event(id).arguments()?,
        };
        self.in_object(id, name)
    }

    /// The part `name` of the object type `id`, of its bases or of its branches.
    fn in_object(&self, id: TypeId, name: &str) -> Option<Target<'s>> {
        let schema = self.schema;
        for id in schema.ancestors(id) {
            let ty = schema.ty(id);
            if let Some(part) = self.own_part(ty.name(), name)
                && ty.is_named()
            {
                return Some(Target::Part(ty.name(), part));
            }
        }
        let branches = schema.ty(id).as_object()?.branches();
        if let Some(branch) = self.branches.get(&(id, name)) {
            let is_union = schema.ty(id).is_named();
            return is_union
                .then(|| Target::Branch(schema.ty(id).name(), branches[*branch].name()));
        }
        let (name, owners) = self.owners.get_key_value(name)?;
        let mut known = self.known.borrow_mut();
        let known = known.in_branches.entry((id, owners.id));
        let owner = *known.or_insert_with(|| self.in_branches(branches, name, owners));
        Some(Target::Part(schema.ty(owner?).name(), name))
    }

    /// The type of the first branch that has a part `name`.
    fn in_branches(&self, branches: &[Branch], name: &str, owners: &Owners<'s>) -> Option<TypeId> {
        let schema = self.schema;
        // What one definition has is looked for without a look at the others.
        let only = match owners.all[..] {
            [owner] => Some(schema.entity(owner)?),
            _ => None,
        };
        let has_it = |id: &TypeId| {
            let is_owner = match only {
                Some(only) => only == Entity::Type(*id),
                None => {
                    step();
                    self.parts.contains(&(schema.ty(*id).name(), name))
                }
            };
            is_owner && schema.ty(*id).is_named()
        };
        branches.iter().map(Branch::type_id).find(has_it)
    }

    /// The part `name` of the types around `scope`, or of the one definition that has such a part.
    fn part(&self, scope: Option<Entity>, name: &str) -> Option<Target<'s>> {
        let (name, owners) = self.owners.get_key_value(name)?;
        if let Some(target) = scope.and_then(|scope| self.near(scope, name)) {
            return Some(target);
        }
        if let [owner] = owners.all[..] {
            return Some(Target::Part(owner, name));
        }
        if let Some(target) = scope.and_then(|scope| self.around(scope, name, owners.id)) {
            return Some(target);
        }
        let module = scope.and_then(|scope| Some(header(self.schema, scope)?.module()));
        let owner = module.and_then(|module| owners.only.get(&module).copied().flatten());
        Some(owner.map_or(Target::Parts(name), |owner| Target::Part(owner, name)))
    }

    /// The part `name` of the types that `scope` uses, nearest ones first.
    fn around(&self, scope: Entity, name: &'s str, id: usize) -> Option<Target<'s>> {
        let mut known = self.known.borrow_mut();
        let known = known.around.entry((scope, id));
        let owner = *known.or_insert_with(|| self.look_around(scope, name));
        Some(Target::Part(self.schema.ty(owner?).name(), name))
    }

    fn look_around(&self, scope: Entity, name: &str) -> Option<TypeId> {
        let schema = self.schema;
        let mut queue: VecDeque<TypeId> = used_types(schema, scope).take(MAX_USES).collect();
        let mut seen: HashSet<TypeId> = queue.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            let ty = schema.ty(id);
            step();
            if ty.is_named() && self.parts.contains(&(ty.name(), name)) {
                return Some(id);
            }
            if seen.len() < MAX_NEIGHBOURS {
                let used = used_types(schema, Entity::Type(id)).take(MAX_USES);
                queue.extend(used.filter(|id| seen.insert(*id)));
            }
        }
        None
    }

    /// `Definition.member` or `member.member`.
    fn path(&self, scope: Option<Entity>, name: &str) -> Option<Target<'s>> {
        let (first, rest) = name.split_once('.')?;
        let start = match self.schema.entity(first) {
            Some(entity) => entity,
            None => {
                let Target::Part(owner, member) = self.part(scope, first)? else {
                    return None;
                };
                let owner = self.schema.entity(owner)?;
                Entity::Type(self.type_of_part(owner, member)?)
            }
        };
        match rest.split_once('.') {
            None => self.near(start, rest),
            Some(_) => self.path(Some(start), rest),
        }
    }

    fn type_of_part(&self, owner: Entity, name: &str) -> Option<TypeId> {
        let found = members_in_place(self.schema, owner).find(|(member, _)| {
            step();
            *member == name
        });
        let (_, id) = found?;
        match self.schema.ty(id).kind() {
            TypeKind::Array(element) => Some(*element),
            _ => Some(id),
        }
    }
}

/// Names by which QEMU's manual calls its index.
fn is_index(name: &str) -> bool {
    name.strip_prefix("qapi-")
        .is_some_and(|rest| rest == "index" || rest.ends_with("-index"))
}

/// What every definition has; includes are not definitions.
pub(crate) fn header(schema: &Schema, entity: Entity) -> Option<&Header> {
    schema.header(entity)
}

/// Members and branches that a definition writes in place, with their types.
fn members_in_place(
    schema: &Schema,
    entity: Entity,
) -> impl Iterator<Item = (&str, TypeId)> + use<'_> {
    schema.objects_in_place(entity).flat_map(|id| {
        let kind = schema.ty(id).kind();
        let members = kind.local_members().iter();
        let branches = match kind {
            TypeKind::Alternate(alternate) => alternate.branches(),
            // Those of a union are told apart from its members.
            TypeKind::Object(_) | TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Array(_) => {
                &[]
            }
        };
        let branches = branches.iter();
        members
            .map(|member| (member.name(), member.type_id()))
            .chain(branches.map(|branch| (branch.name(), branch.type_id())))
    })
}

/// Names of the members, values, branches and features of a definition. The features of its members
/// and values are described with its own.
fn own_parts(schema: &Schema, entity: Entity) -> impl Iterator<Item = &str> + use<'_> {
    let values = match entity {
        Entity::Type(id) => schema.ty(id).as_enum().map(|values| values.values()),
        Entity::Include(_) | Entity::Command(_) | Entity::Event(_) => None,
    };
    let values = values.unwrap_or_default().iter();
    let features = header(schema, entity)
        .into_iter()
        .flat_map(Header::features);
    let members = schema
        .objects_in_place(entity)
        .filter_map(|id| schema.ty(id).as_object())
        .flat_map(|object| object.local_members());
    let inner = members
        .flat_map(|member| member.features())
        .chain(values.clone().flat_map(|value| value.features()));
    members_in_place(schema, entity)
        .map(|(name, _)| name)
        .chain(values.map(|value| value.name()))
        .chain(features.chain(inner).map(Feature::name))
}

/// The types that a definition mentions, arrays replaced by their elements.
pub(crate) fn used_types(
    schema: &Schema,
    entity: Entity,
) -> impl Iterator<Item = TypeId> + use<'_> {
    schema.uses(entity)
}
