//! Storage with constant-time insertion and removal, whose keys are never mistaken for one another.

/// Storage whose entries are reached by [`Key`]s.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// Head of the list of vacant entries.
    vacant: Option<u32>,
    len: usize,
}

/// Names one entry of a [`Slab`]; a key of a removed entry finds nothing, even when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Occupied(T),
    Vacant { next: Option<u32> },
}

impl Key {
    /// The key as a number, for the kernel to carry.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`to_bits`](Self::to_bits) made `bits` of.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: (bits & u64::from(u32::MAX)) as u32,
            generation: (bits >> 32) as u32,
        }
    }

    /// The place of the entry; unique among the entries present.
    pub(crate) fn index(self) -> u32 {
        self.index
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            vacant: None,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        match self.vacant {
            Some(index) => {
                let entry = &mut self.entries[index as usize];
                if let State::Vacant { next } = entry.state {
                    self.vacant = next;
                }
                entry.state = State::Occupied(value);
                Key {
                    index,
                    generation: entry.generation,
                }
            }
            None => {
                let index = u32::try_from(self.entries.len())
                    .expect("4 billion entries do not fit into memory");
                self.entries.push(Entry {
                    generation: 0,
                    state: State::Occupied(value),
                });
                Key {
                    index,
                    generation: 0,
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation || matches!(entry.state, State::Vacant { .. }) {
            return None;
        }
        let state = std::mem::replace(&mut entry.state, State::Vacant { next: self.vacant });
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant = Some(key.index);
        self.len -= 1;
        match state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.index as usize)? {
            Entry {
                generation,
                state: State::Occupied(value),
            } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// As [`get`](Self::get), to be changed.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index as usize)? {
            Entry {
                generation,
                state: State::Occupied(value),
            } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry at a place that is known to be occupied.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        match &self.entries.get(index as usize)?.state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        }
    }

    /// As [`at`](Self::at), to be changed.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.entries.get_mut(index as usize)?.state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        }
    }

    /// The key of the entry at `index`.
    pub(crate) fn key_at(&self, index: u32) -> Option<Key> {
        let entry = self.entries.get(index as usize)?;
        match entry.state {
            State::Occupied(_) => Some(Key {
                index,
                generation: entry.generation,
            }),
            State::Vacant { .. } => None,
        }
    }

    /// Takes all entries out, in the order of their places.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        for index in 0..self.entries.len() as u32 {
            if let Some(key) = self.key_at(index) {
                values.extend(self.remove(key));
            }
        }
        values
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match &entry.state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_entry_finds_nothing_when_its_place_is_used_again() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index(), first.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn vacant_places_are_used_before_new_ones() {
        let mut slab = Slab::default();
        let keys: Vec<_> = (0..4).map(|value| slab.insert(value)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[2]);
        assert_eq!(slab.insert(10).index(), 2);
        assert_eq!(slab.insert(11).index(), 1);
        assert_eq!(slab.insert(12).index(), 4);
        assert_eq!(slab.drain(), [0, 11, 10, 3, 12]);
        assert_eq!(slab.len(), 0);
    }

    #[test]
    fn keys_survive_the_way_through_the_kernel() {
        let key = Key {
            index: 7,
            generation: u32::MAX,
        };
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }
}
