//! The members of an object that is being checked, by the name they collide in.

use std::collections::HashMap;

use super::MemberRef;

/// Members in order. A mark taken before branch members are added lets them be dropped again.
#[derive(Default)]
pub(super) struct Seen {
    members: Vec<(String, MemberRef)>,
    by_key: HashMap<String, MemberRef>,
}

impl Seen {
    /// Adds `member` under `key`, or gives the member that has it already.
    pub(super) fn insert(&mut self, key: String, member: MemberRef) -> Option<MemberRef> {
        if let Some(other) = self.by_key.get(&key) {
            return Some(*other);
        }
        self.by_key.insert(key.clone(), member);
        self.members.push((key, member));
        None
    }

    pub(super) fn get(&self, key: &str) -> Option<MemberRef> {
        self.by_key.get(key).copied()
    }

    pub(super) fn mark(&self) -> usize {
        self.members.len()
    }

    pub(super) fn drop_to(&mut self, mark: usize) {
        for (key, _) in self.members.drain(mark..) {
            self.by_key.remove(&key);
        }
    }

    pub(super) fn members(&self) -> Vec<MemberRef> {
        self.members.iter().map(|(_, member)| *member).collect()
    }
}
