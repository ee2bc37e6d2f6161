//! Storage with constant-time insertion and removal, whose keys are never mistaken for one another.

/// Storage whose entries are reached by [`Key`]s.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The places that are free, the last of them to be used first.
    vacant: Vec<u32>,
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
    value: Option<T>,
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
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        let (entries, vacant) = (Vec::new(), Vec::new());
        Self { entries, vacant }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: 0,
                value: None,
            });
            u32::try_from(self.entries.len() - 1).expect("4 billion entries do not fit into memory")
        });
        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        let generation = entry.generation;
        Key { index, generation }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(key.index);
        Some(value)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        let value = entry.value.as_ref();
        value.filter(|_| entry.generation == key.generation)
    }

    /// As [`get`](Self::get), to be changed.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        let value = entry.value.as_mut();
        value.filter(|_| entry.generation == key.generation)
    }

    /// All entries in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.value.as_ref())
    }

    /// As [`iter`](Self::iter), taking them out.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().filter_map(|entry| entry.value)
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
        assert_eq!(second.index, first.index);
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
        assert_eq!(slab.insert(10).index, 2);
        assert_eq!(slab.insert(11).index, 1);
        assert_eq!(slab.insert(12).index, 4);
        assert_eq!(slab.len(), 5);
        assert!(slab.into_values().eq([0, 11, 10, 3, 12]));
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
