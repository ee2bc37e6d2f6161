//! From a path to what is there.

use std::collections::HashSet;

use super::{Branches, Entity, EntityId, Features, Kind, Named, PeerSchema, UnknownPath};

/// An object in which members are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    object: EntityId,
    within: Within,
}

/// In which branches of the object, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Within {
    Any,
    /// Those that follow are scopes of their own.
    None,
    One(EntityId),
}

impl Scope {
    /// The object with all its branches.
    pub(super) fn of(object: EntityId) -> Self {
        let within = Within::Any;
        Self { object, within }
    }

    /// The members that all branches have.
    pub(super) fn without_branches(object: EntityId) -> Self {
        let within = Within::None;
        Self { object, within }
    }
}

/// Where a path has led so far.
struct Place<'s> {
    scopes: Vec<Scope>,
    features: Vec<&'s Features>,
}

/// A member that was found.
pub(super) struct Found<'s> {
    pub(super) ty: Option<EntityId>,
    /// The object that lists it.
    pub(super) owner: EntityId,
    features: &'s Features,
}

impl PeerSchema {
    /// Looks for what is at a path.
    ///
    /// # Errors
    ///
    /// What is not there: the path up to the first part that is missing. Or that it is no path.
    pub fn find(&self, path: &str) -> Result<(), UnknownPath> {
        let malformed = || UnknownPath {
            path: path.into(),
            is_malformed: true,
        };
        let (steps, feature) = match path.split_once('#') {
            None => (path, None),
            Some((steps, feature)) => (steps, Some(feature)),
        };
        let is_name = |text: &str| !text.is_empty() && !text.contains(['/', '=', '#']);
        if feature.is_some_and(|feature| !is_name(feature)) {
            return Err(malformed());
        }
        // Each part ends where the next slash is.
        let mut parts = steps.split('/');
        let mut end = 0;
        let mut next = || {
            let part = parts.next()?;
            end += part.len() + usize::from(end > 0);
            Some((part, &steps[..end]))
        };
        let unknown = |path: &str| UnknownPath {
            path: path.into(),
            is_malformed: false,
        };
        let Some((name, _)) = next().filter(|(name, _)| is_name(name)) else {
            return Err(malformed());
        };
        let entity = self.by_name.get(name).map(|id| &self.entities[*id]);
        let entity =
            entity.filter(|it| matches!(it.kind, Kind::Command { .. } | Kind::Event { .. }));
        let entity = entity.ok_or_else(|| unknown(name))?;
        let mut place = Place {
            scopes: Vec::new(),
            features: vec![&entity.features],
        };
        if let Some((part, so_far)) = next() {
            let (part, value) = match part.split_once('=') {
                None => (part, None),
                Some((part, value)) => (part, Some(value)),
            };
            let ty = match (&entity.kind, part) {
                (Kind::Command { arguments, .. }, "arguments") => *arguments,
                (Kind::Command { returns, .. }, "returns") => *returns,
                (Kind::Event { data }, "data") => *data,
                (_, "arguments" | "returns" | "data") => return Err(unknown(so_far)),
                _ => return Err(malformed()),
            };
            place = self.place_of(ty, None);
            if let Some(value) = value {
                let named = self.value_of(ty, value).filter(|_| is_name(value));
                place = Place {
                    scopes: Vec::new(),
                    features: vec![&named.ok_or_else(|| unknown(so_far))?.features],
                };
            }
        }
        while let Some((step, so_far)) = next() {
            let (member, value) = match step.split_once('=') {
                None => (step, None),
                Some((member, value)) => (member, Some(value)),
            };
            if !is_name(member) || value.is_some_and(|value| !is_name(value)) {
                return Err(malformed());
            }
            let after = match value {
                None => self.member(&place, member),
                Some(value) => self.value(&place, member, value),
            };
            let part = so_far.len() - step.len();
            place = after.map_err(|len| unknown(&so_far[..part + len]))?;
        }
        let is_there = |feature: &str| {
            let all = place.features.iter();
            all.flat_map(|list| list.iter()).any(|it| **it == *feature)
        };
        match feature {
            Some(feature) if !is_there(feature) => Err(unknown(path)),
            Some(_) | None => Ok(()),
        }
    }

    /// Where a type is reached, by a member with these features.
    fn place_of<'s>(&'s self, ty: Option<EntityId>, features: Option<&'s Features>) -> Place<'s> {
        let types = self.expand(ty);
        let of_types = types.iter().map(|id| &self.entities[*id].features);
        Place {
            features: features.into_iter().chain(of_types).collect(),
            scopes: types.iter().map(|id| Scope::of(*id)).collect(),
        }
    }

    /// One step without a value. If it leads nowhere, how much of the step was looked for.
    fn member<'s>(&'s self, place: &Place<'s>, name: &str) -> Result<Place<'s>, usize> {
        let mut after = Place {
            scopes: Vec::new(),
            features: Vec::new(),
        };
        for found in self.members(&place.scopes, name) {
            let mut place = self.place_of(found.ty, Some(found.features));
            after.features.append(&mut place.features);
            for scope in place.scopes {
                if !after.scopes.contains(&scope) {
                    after.scopes.push(scope);
                }
            }
        }
        match after.features.is_empty() {
            true => Err(name.len()),
            false => Ok(after),
        }
    }

    /// One step with a value, which may choose a branch.
    fn value<'s>(&'s self, place: &Place<'s>, name: &str, value: &str) -> Result<Place<'s>, usize> {
        let members = self.members(&place.scopes, name);
        if members.is_empty() {
            return Err(name.len());
        }
        let mut features = Vec::new();
        let mut chosen = Vec::new();
        for found in members {
            let Some(named) = self.value_of(found.ty, value) else {
                continue;
            };
            features.push(&named.features);
            if let Some(branches) = self.branches(found.owner).filter(|it| *it.tag == *name) {
                let case = branches.case(value);
                features.extend(case.map(|id| &self.entities[id].features));
                chosen.push(Scope {
                    object: found.owner,
                    within: case.map_or(Within::None, Within::One),
                });
            }
        }
        if features.is_empty() {
            return Err(name.len() + 1 + value.len());
        }
        // What all branches have stays in reach.
        let is_chosen = |scope: &Scope| chosen.iter().any(|it| it.object == scope.object);
        let outer = place.scopes.iter().filter(|scope| !is_chosen(scope));
        let outer = outer.map(|scope| Scope::without_branches(scope.object));
        let mut scopes: Vec<Scope> = match chosen.is_empty() {
            true => Vec::new(),
            false => outer.collect(),
        };
        scopes.extend(chosen);
        Ok(Place { scopes, features })
    }

    /// A value of an enumeration that the type is, or that it has.
    pub(super) fn value_of(&self, ty: Option<EntityId>, value: &str) -> Option<&Named> {
        let values = self.expand(ty).into_iter().filter_map(|id| {
            let Kind::Enum(values) = &self.entities[id].kind else {
                return None;
            };
            values.iter().find(|it| *it.name == *value)
        });
        values.into_iter().next()
    }

    pub(super) fn branches(&self, object: EntityId) -> Option<&Branches> {
        match &self.entities[object].kind {
            Kind::Object { branches, .. } => branches.as_ref(),
            Kind::Command { .. }
            | Kind::Event { .. }
            | Kind::Builtin(_)
            | Kind::Enum(_)
            | Kind::Array(_)
            | Kind::Alternate(_)
            | Kind::Unknown => None,
        }
    }

    /// All members of a name in these objects and in their branches.
    pub(super) fn members(&self, scopes: &[Scope], name: &str) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        let mut queue = scopes.to_vec();
        let mut seen: HashSet<Scope> = scopes.iter().copied().collect();
        let mut at = 0;
        while let Some(&Scope { object, within }) = queue.get(at) {
            at += 1;
            let Entity {
                kind: Kind::Object { members, branches },
                ..
            } = &self.entities[object]
            else {
                continue;
            };
            if let Some(member) = members.iter().find(|member| *member.name == *name) {
                found.push(Found {
                    ty: member.ty,
                    owner: object,
                    features: &member.features,
                });
            }
            let cases = branches.iter().flat_map(|branches| &branches.cases);
            for (_, case) in cases {
                let is_in = match within {
                    Within::Any => true,
                    Within::None => false,
                    Within::One(only) => only == *case,
                };
                let scope = Scope::of(*case);
                if is_in && seen.insert(scope) {
                    queue.push(scope);
                }
            }
        }
        found
    }

    /// The types that a type stands for: without lists, and with the alternatives in place of alternates.
    pub(super) fn expand(&self, ty: Option<EntityId>) -> Vec<EntityId> {
        let mut queue: Vec<EntityId> = ty.into_iter().collect();
        let mut seen: HashSet<EntityId> = HashSet::new();
        let mut at = 0;
        while let Some(&id) = queue.get(at) {
            at += 1;
            let inner = match &self.entities[id].kind {
                Kind::Array(Some(element)) => std::slice::from_ref(element),
                Kind::Alternate(alternatives) => alternatives,
                Kind::Array(None)
                | Kind::Command { .. }
                | Kind::Event { .. }
                | Kind::Builtin(_)
                | Kind::Enum(_)
                | Kind::Object { .. }
                | Kind::Unknown => &[],
            };
            for id in inner {
                if seen.insert(*id) {
                    queue.push(*id);
                }
            }
        }
        queue
    }
}

impl Branches {
    pub(super) fn case(&self, value: &str) -> Option<EntityId> {
        let case = self.cases.iter().find(|(name, _)| **name == *value);
        case.map(|(_, id)| *id)
    }
}
