//! The members of an object that is being checked, by the name they collide in.

use hashbrown::HashMap;

use super::MemberRef;
use crate::check::names::{collide, collision_key};

/// Members in order. A mark taken before branch members are added lets them be dropped again.
#[derive(Default)]
pub(super) struct Seen<'a> {
    members: Vec<(&'a str, MemberRef)>,
    /// Where members are, once there are many.
    by_key: HashMap<String, usize>,
}

/// Up to this many members a scan is faster than a table.
const FEW: usize = 24;

impl<'a> Seen<'a> {
    /// Adds `member`, or gives the one that it collides with.
    pub(super) fn insert(&mut self, name: &'a str, member: MemberRef) -> Option<MemberRef> {
        if let Some(other) = self.get(name) {
            return Some(other);
        }
        self.members.push((name, member));
        if self.members.len() > FEW {
            if self.by_key.is_empty() {
                let keys = self.members.iter().map(|(name, _)| collision_key(name));
                self.by_key = keys.enumerate().map(|(index, key)| (key, index)).collect();
            } else {
                self.by_key
                    .insert(collision_key(name), self.members.len() - 1);
            }
        }
        None
    }

    /// The member that collides with `name`.
    pub(super) fn get(&self, name: &str) -> Option<MemberRef> {
        if self.by_key.is_empty() {
            let found = self.members.iter().find(|(other, _)| collide(other, name));
            return found.map(|(_, member)| *member);
        }
        self.by_key
            .get(&collision_key(name))
            .map(|&index| self.members[index].1)
    }

    pub(super) fn mark(&self) -> usize {
        self.members.len()
    }

    pub(super) fn drop_to(&mut self, mark: usize) {
        if !self.by_key.is_empty() {
            for (name, _) in &self.members[mark..] {
                self.by_key.remove(&collision_key(name));
            }
        }
        self.members.truncate(mark);
    }

    pub(super) fn members(&self) -> Vec<MemberRef> {
        self.members.iter().map(|(_, member)| *member).collect()
    }
}
