//! Which commands and events a pair of types is reached from.

use std::fmt::Write as _;
use std::sync::Arc;

use hashbrown::HashMap;

use super::compare::PairId;
use super::way::OwnerId;
use crate::components::components;
use crate::steps::step;

/// The commands and events that have a change.
///
/// The way to the change begins with one of them. Others have it by way of the same types.
#[derive(Debug, Clone)]
pub struct Reached {
    owners: Arc<[(bool, Box<str>)]>,
    first: OwnerId,
    all: Arc<Owners>,
}

/// The commands and events from which a pair is reached.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Sorted.
    ids: Vec<OwnerId>,
    /// Whether there may be more.
    is_cut: bool,
}

impl Reached {
    pub(super) fn new(owners: Arc<[(bool, Box<str>)]>, first: OwnerId, all: Arc<Owners>) -> Self {
        Self { owners, first, all }
    }

    fn others(&self, are_events: bool) -> impl Iterator<Item = &str> {
        let others = self.all.ids.iter().filter(|id| **id != self.first);
        others
            .map(|id| &self.owners[*id])
            .filter(move |(is_event, _)| *is_event == are_events)
            .map(|(_, name)| &**name)
    }

    /// The other commands, in the order of the client's interface.
    pub fn other_commands(&self) -> impl Iterator<Item = &str> {
        self.others(false)
    }

    /// The other events, in the order of the client's interface.
    pub fn other_events(&self) -> impl Iterator<Item = &str> {
        self.others(true)
    }

    /// Whether there may be more: the search is given up in a schema in which very many types use very many.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.all.is_cut
    }

    /// `also in 2 more commands and event 'A'`: the others by number, or all by name. A single one is named in any
    /// case. `None` if there is no other.
    #[must_use]
    pub fn note(&self, names_all: bool) -> Option<String> {
        let mut text = String::from("also in ");
        let mut is_first = true;
        for (kind, are_events) in [("command", false), ("event", true)] {
            let names: Vec<&str> = self.others(are_events).collect();
            if names.is_empty() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                text.push_str(" and ");
            }
            let plural = if names.len() > 1 { "s" } else { "" };
            if names.len() > 1 && !names_all {
                // Writing to a string does not fail.
                let _ = write!(text, "{} more {kind}s", names.len());
                continue;
            }
            text.push_str(kind);
            text.push_str(plural);
            for (n, name) in names.iter().enumerate() {
                let separator = if n > 0 { "," } else { "" };
                let _ = write!(text, "{separator} '{name}'");
            }
        }
        if self.is_cut() {
            text.push_str(if is_first { "others" } else { ", and others" });
        }
        (!is_first || self.is_cut()).then_some(text)
    }
}

/// Lists of positions by a position.
struct Lists {
    starts: Vec<usize>,
    values: Vec<usize>,
}

impl Lists {
    /// `pairs` has the key first.
    fn new(n_keys: usize, pairs: &[(usize, usize)]) -> Self {
        let mut starts = vec![0; n_keys + 1];
        for (key, _) in pairs {
            starts[key + 1] += 1;
        }
        for key in 0..n_keys {
            starts[key + 1] += starts[key];
        }
        let mut ends = starts.clone();
        let mut values = vec![0; pairs.len()];
        for (key, value) in pairs {
            values[ends[*key]] = *value;
            ends[*key] += 1;
        }
        Self { starts, values }
    }

    fn of(&self, key: usize) -> &[usize] {
        &self.values[self.starts[key]..self.starts[key + 1]]
    }
}

/// The uses of pairs, backwards.
pub(super) struct Reach {
    users: Lists,
    entries: Lists,
    /// For each pair one that is reached from the same commands and events: those of a circle are, and what only they use.
    alike: Vec<PairId>,
    known: HashMap<PairId, Arc<Owners>>,
    /// The searches in which pairs and owners were met last, and how many there were.
    met_pairs: Vec<u32>,
    met_owners: Vec<u32>,
    n_searches: u32,
    /// How many uses may still be looked at.
    budget: usize,
}

/// The uses that all searches together look at. A search for each of 1,000 changed types of a schema as large as QEMU's
/// takes a fourth of it.
const BUDGET: usize = 16 << 20;

impl Reach {
    pub(super) fn new(
        n_pairs: usize,
        uses: &[(PairId, PairId)],
        entries: &[(PairId, OwnerId)],
    ) -> Self {
        let n_owners = entries.iter().map(|(_, owner)| owner + 1).max();
        let mut reach = Self {
            users: Lists::new(n_pairs, uses),
            entries: Lists::new(n_pairs, entries),
            alike: vec![0; n_pairs],
            known: HashMap::new(),
            met_pairs: vec![0; n_pairs],
            met_owners: vec![0; n_owners.unwrap_or(0)],
            n_searches: 0,
            budget: BUDGET,
        };
        let users: Vec<Vec<PairId>> = (0..n_pairs).map(|id| reach.users.of(id).to_vec()).collect();
        let found = components(&users);
        // Users come first.
        for (index, members) in found.iter().enumerate() {
            let like = reach.like(index, members, &found.of);
            for id in members {
                reach.alike[*id] = like;
            }
        }
        reach
    }

    /// The pair that all users of a component are like, or its first one.
    fn like(&self, index: usize, members: &[PairId], component: &[usize]) -> PairId {
        let first = members[0];
        let mut like = None;
        for id in members {
            if !self.entries.of(*id).is_empty() {
                return first;
            }
            let users = self.users.of(*id).iter();
            for user in users.filter(|user| component[**user] != index) {
                step();
                if *like.get_or_insert(self.alike[*user]) != self.alike[*user] {
                    return first;
                }
            }
        }
        like.unwrap_or(first)
    }

    pub(super) fn owners_of(&mut self, id: PairId) -> Arc<Owners> {
        let id = self.alike[id];
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        let owners = Arc::new(self.search(id));
        self.known.insert(id, Arc::clone(&owners));
        owners
    }

    fn search(&mut self, id: PairId) -> Owners {
        self.n_searches += 1;
        let mut owners = Owners::default();
        let mut open = vec![id];
        self.met_pairs[id] = self.n_searches;
        while let Some(id) = open.pop() {
            for owner in self.entries.of(id) {
                step();
                if std::mem::replace(&mut self.met_owners[*owner], self.n_searches)
                    != self.n_searches
                {
                    owners.ids.push(*owner);
                }
            }
            let users = self.users.of(id);
            let cost = users.len() + self.entries.of(id).len();
            let Some(budget) = self.budget.checked_sub(cost) else {
                owners.is_cut = true;
                break;
            };
            self.budget = budget;
            for user in users {
                step();
                if std::mem::replace(&mut self.met_pairs[*user], self.n_searches) != self.n_searches
                {
                    open.push(*user);
                }
            }
        }
        owners.ids.sort_unstable();
        owners
    }
}
