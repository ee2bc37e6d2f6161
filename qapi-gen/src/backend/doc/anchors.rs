//! Anchors of what definitions have.
//!
//! The anchor of a definition is its name, and those of its parts begin with it. Where two would be
//! the same, the second one is longer; hardly any schema has such names.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::ir::{Entity, Schema};
use crate::references::References;

/// What stands between the names of a definition and of its part.
pub(super) const PART: &str = "--";

/// The same for what a union has for a value of its tag.
pub(super) const BRANCH: &str = "--when-";

/// The anchors that are not made of the two names alone.
pub(super) struct Anchors<'s> {
    /// By definition, and by its part or, where that is `true`, by its branch.
    longer: HashMap<(&'s str, &'s str, bool), String>,
}

impl<'s> Anchors<'s> {
    pub(super) fn new(schema: &'s Schema, references: &References<'s>) -> Self {
        let hasher = RandomState::new();
        let mut text = String::new();
        let mut hashes = Vec::new();
        for_each(schema, references, &mut |name, part, is_branch| {
            text.clear();
            push(&mut text, name, part, is_branch);
            hashes.push(hasher.hash_one(&text));
        });
        hashes.sort_unstable();
        let is_twice = |pair: &[u64]| (pair[0] == pair[1]).then_some(pair[0]);
        let contested: HashSet<u64> = hashes.windows(2).filter_map(is_twice).collect();
        let mut names = schema.definitions().map(|definition| definition.name());
        let has_like = names.any(|name| name.contains(PART));
        let mut longer = HashMap::new();
        if contested.is_empty() && !has_like {
            return Self { longer };
        }
        let mut taken = HashSet::new();
        for_each(schema, references, &mut |name, part, is_branch| {
            let mut anchor = String::new();
            push(&mut anchor, name, part, is_branch);
            if !contested.contains(&hasher.hash_one(&anchor)) && schema.entity(&anchor).is_none() {
                return;
            }
            let shortest = anchor.len();
            // A longer one must be none that another part has without a look at this one.
            let is_free = |anchor: &str| {
                schema.entity(anchor).is_none()
                    && (anchor.len() == shortest
                        || hashes.binary_search(&hasher.hash_one(anchor)).is_err())
            };
            while !is_free(&anchor) || !taken.insert(anchor.clone()) {
                anchor.push('-');
            }
            if anchor.len() > shortest {
                longer.insert((name, part, is_branch), anchor);
            }
        });
        Self { longer }
    }

    /// The anchor, if it is another one than the names are.
    pub(super) fn of<'a>(
        &'a self,
        name: &'a str,
        part: &'a str,
        is_branch: bool,
    ) -> Option<&'a str> {
        if self.longer.is_empty() {
            return None;
        }
        self.longer
            .get(&(name, part, is_branch))
            .map(String::as_str)
    }
}

fn push(text: &mut String, name: &str, part: &str, is_branch: bool) {
    text.push_str(name);
    text.push_str(if is_branch { BRANCH } else { PART });
    text.push_str(part);
}

/// Everything that definitions have, and their branches.
fn for_each<'s>(
    schema: &'s Schema,
    references: &References<'s>,
    found: &mut dyn FnMut(&'s str, &'s str, bool),
) {
    for (part, owners) in references.parts() {
        for owner in owners {
            found(owner, part, false);
        }
    }
    for &entity in schema.entities() {
        let Entity::Type(id) = entity else {
            continue;
        };
        let ty = schema.ty(id);
        let branches = ty.as_object().into_iter().flat_map(|it| it.branches());
        // Only what the schema lists is shown.
        for branch in branches.filter(|branch| branch.span().is_some()) {
            found(ty.name(), branch.name(), true);
        }
    }
}
