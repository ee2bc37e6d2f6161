//! The records of one IOThread's holders. Every operation but the snapshot takes constant time.

use std::collections::HashMap;
use std::iter::successors;

use foldhash::fast::RandomState;

use crate::holder::{Holder, HolderCounts};
use crate::slab::{Key, Slab};

/// Who releases a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The guard that has the record's key.
    Guard,
    /// Anybody, by an equal holder.
    Named,
}

/// All records: a list linked through the entries, newest first, and an index of those that are released by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Slab<Entry>,
    newest: Option<Key>,
    /// The most recent entry of each named holder; the less recent equal ones are chained after it.
    named: HashMap<Holder, Key, RandomState>,
    counts: HolderCounts,
    /// How many entries wait for the end of what their holders have left.
    n_leaving: usize,
}

#[derive(Debug)]
struct Entry {
    holder: Holder,
    origin: Origin,
    is_leaving: bool,
    newer: Option<Key>,
    older: Option<Key>,
    /// The next most recent named entry of an equal holder.
    older_equal: Option<Key>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn counts(&self) -> &HolderCounts {
        &self.counts
    }

    pub(super) fn insert(&mut self, holder: Holder, origin: Origin) -> Key {
        self.counts.add(holder.kind());
        let older = self.newest;
        let named = match origin {
            Origin::Guard => None,
            Origin::Named => Some(holder.clone()),
        };
        let key = self.entries.insert(Entry {
            holder,
            origin,
            is_leaving: false,
            newer: None,
            older,
            older_equal: None,
        });
        if let Some(holder) = named {
            let older_equal = self.named.insert(holder, key);
            self.entries[key].older_equal = older_equal;
        }
        if let Some(older) = older.and_then(|key| self.entries.get_mut(key)) {
            older.newer = Some(key);
        }
        self.newest = Some(key);
        key
    }

    /// Marks a guard's entry as one that goes as soon as nothing of its holder is left.
    pub(super) fn leave(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(key)
            && !std::mem::replace(&mut entry.is_leaving, true)
        {
            self.n_leaving += 1;
        }
    }

    /// How many entries are not about to go.
    pub(super) fn n_staying(&self) -> usize {
        self.entries.len() - self.n_leaving
    }

    /// Removes a guard's entry.
    pub(super) fn remove(&mut self, key: Key) -> Option<Holder> {
        // A key of a named entry is never handed out, so the index needs no change here.
        debug_assert!(
            self.entries
                .get(key)
                .is_none_or(|entry| entry.origin == Origin::Guard)
        );
        let entry = self.entries.remove(key)?;
        self.unlink(&entry);
        Some(entry.holder)
    }

    /// Removes the most recent named entry that is equal.
    pub(super) fn remove_named(&mut self, holder: &Holder) -> Option<Holder> {
        let newest_equal = self.named.get_mut(holder)?;
        let entry = self.entries.remove(*newest_equal)?;
        match entry.older_equal {
            Some(older) => *newest_equal = older,
            None => {
                self.named.remove(holder);
            }
        }
        self.unlink(&entry);
        Some(entry.holder)
    }

    /// Closes the gap that `entry`, already removed, leaves in the list.
    fn unlink(&mut self, entry: &Entry) {
        match entry.newer.and_then(|key| self.entries.get_mut(key)) {
            Some(newer) => newer.older = entry.older,
            None => self.newest = entry.older,
        }
        if let Some(older) = entry.older.and_then(|key| self.entries.get_mut(key)) {
            older.newer = entry.newer;
        }
        self.counts.subtract(entry.holder.kind());
        self.n_leaving -= usize::from(entry.is_leaving);
    }

    pub(super) fn get(&self, key: Key) -> Option<&Holder> {
        Some(&self.entries.get(key)?.holder)
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Holder> {
        let entry_at = |key: Option<Key>| key.and_then(|key| self.entries.get(key));
        successors(entry_at(self.newest), move |entry| entry_at(entry.older))
            .map(|entry| &entry.holder)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::holder::{self, HolderKind};

    fn insert(table: &mut Table, holder: Holder, origin: Origin) -> Key {
        table.insert(holder, origin)
    }

    /// How many holders are block nodes, and how many are monitors.
    fn counts(table: &Table) -> [usize; 2] {
        [HolderKind::BLOCK_NODE, HolderKind::MONITOR].map(|kind| table.counts().of(kind))
    }

    fn names(table: &Table) -> Vec<String> {
        table
            .newest_first()
            .map(|holder| holder.name().to_owned())
            .collect()
    }

    #[test]
    fn holders_are_listed_newest_first_whatever_is_removed() {
        let mut table = Table::default();
        let a = insert(&mut table, holder::block_node("a"), Origin::Guard);
        let b = insert(&mut table, holder::block_node("b"), Origin::Guard);
        let c = insert(&mut table, holder::block_node("c"), Origin::Guard);
        assert_eq!(names(&table), ["c", "b", "a"]);
        assert!(table.remove(b).is_some());
        assert_eq!(names(&table), ["c", "a"]);
        let d = insert(&mut table, holder::block_node("d"), Origin::Guard);
        assert_eq!(names(&table), ["d", "c", "a"]);
        assert!(table.remove(d).is_some());
        assert!(table.remove(a).is_some());
        assert_eq!(names(&table), ["c"]);
        assert!(table.remove(c).is_some());
        assert!(table.remove(c).is_none());
        assert!(names(&table).is_empty());
    }

    #[test]
    fn equal_named_holders_go_most_recent_first_and_guards_stay() {
        let mut table = Table::default();
        insert(&mut table, holder::monitor("m"), Origin::Named);
        let first = insert(&mut table, holder::monitor("m"), Origin::Guard);
        insert(&mut table, holder::block_node("m"), Origin::Named);
        insert(&mut table, holder::monitor("m"), Origin::Named);
        assert!(table.remove_named(&holder::monitor("m")).is_some());
        assert_eq!(counts(&table), [1, 2]);
        assert!(table.remove_named(&holder::monitor("m")).is_some());
        assert!(table.remove_named(&holder::monitor("m")).is_none());
        assert_eq!(counts(&table), [1, 1]);
        assert!(table.remove(first).is_some());
        assert!(table.remove_named(&holder::block_node("m")).is_some());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn entries_that_leave_are_listed_and_counted_apart() {
        let mut table = Table::default();
        let a = insert(&mut table, holder::block_export("a"), Origin::Guard);
        let b = insert(&mut table, holder::block_export("b"), Origin::Guard);
        table.leave(a);
        table.leave(a);
        assert_eq!((table.len(), table.n_staying()), (2, 1));
        assert_eq!(names(&table), ["b", "a"]);
        assert!(table.remove(a).is_some());
        table.leave(a);
        assert_eq!((table.len(), table.n_staying()), (1, 1));
        assert!(table.remove(b).is_some());
        assert_eq!((table.len(), table.n_staying()), (0, 0));
    }

    /// The table against a plain list, over a fixed pseudo-random course of operations.
    #[test]
    fn behaves_as_a_plain_list() {
        let mut table = Table::default();
        let mut model: Vec<(String, Option<Key>)> = Vec::new();
        let mut random: u32 = 12345;
        let rounds = if cfg!(miri) { 100 } else { 5_000 };
        for _ in 0..rounds {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let name = format!("n{}", (random >> 8) % 5);
            match (random >> 16) % 4 {
                0 => {
                    let key = insert(&mut table, holder::block_node(&name), Origin::Guard);
                    model.insert(0, (name, Some(key)));
                }
                1 => {
                    insert(&mut table, holder::block_node(&name), Origin::Named);
                    model.insert(0, (name, None));
                }
                2 => {
                    let found = model.iter().position(|(_, key)| key.is_some());
                    if let Some(key) = found.and_then(|position| model.remove(position).1) {
                        assert!(table.remove(key).is_some());
                    }
                }
                _ => {
                    let found = model
                        .iter()
                        .position(|(other, key)| key.is_none() && *other == name);
                    let removed = table.remove_named(&holder::block_node(&name));
                    assert_eq!(removed.is_some(), found.is_some());
                    if let Some(position) = found {
                        model.remove(position);
                    }
                }
            }
            let expected: Vec<_> = model.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(names(&table), expected);
        }
    }
}
