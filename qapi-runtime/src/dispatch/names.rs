//! Looking up a name among many in constant time.

use std::sync::Arc;

/// A hash table over names that are kept elsewhere.
///
/// The hash is not keyed: a peer chooses which names are looked up, but not what is in the
/// table.
#[derive(Clone, Debug)]
pub(super) struct NameIndex {
    /// One more than the index of a name, or 0. The length is a power of two, and at least twice the
    /// number of names.
    slots: Arc<[u32]>,
}

impl NameIndex {
    pub(super) fn new<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Self {
        let length = (names.len() * 2).next_power_of_two().max(2);
        let mut slots = vec![0; length];
        for (name, number) in names.zip(1_u32..) {
            let free = probe(name, length).find(|at| slots.get(*at) == Some(&0));
            // Half of the slots are free.
            if let Some(slot) = free.and_then(|at| slots.get_mut(at)) {
                *slot = number;
            }
        }
        Self {
            slots: slots.into(),
        }
    }

    /// The index of `name`; `is_at` tells whether it is the name at an index.
    pub(super) fn find(&self, name: &str, is_at: impl Fn(usize) -> bool) -> Option<usize> {
        for at in probe(name, self.slots.len()) {
            let index = self.slots.get(at)?.checked_sub(1)? as usize;
            if is_at(index) {
                return Some(index);
            }
        }
        None
    }
}

/// The slots to look at, one after the other; each once.
fn probe(name: &str, length: usize) -> impl Iterator<Item = usize> {
    let mask = length - 1;
    let first = hash(name.as_bytes());
    (0..length).map(move |step| first.wrapping_add(step) & mask)
}

fn hash(name: &[u8]) -> usize {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = name.as_chunks::<8>();
    let start = words.iter().fold(name.len() as u64, |hash, bytes| {
        mix(hash, u64::from_le_bytes(*bytes))
    });
    (mix(start, word(rest)) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for n_names in [0, 1, 2, 3, 100, 1000] {
            let names: Vec<String> = (0..n_names)
                .map(|number| format!("query-{number}"))
                .collect();
            let index = NameIndex::new(names.iter().map(String::as_str));
            let find = |name: &str| index.find(name, |at| names[at] == name);
            for (at, name) in names.iter().enumerate() {
                assert_eq!(find(name), Some(at));
            }
            for other in ["", "q", "query-", "query-1000", "query-00", "\u{e9}"] {
                assert_eq!(find(other), None, "{other}");
            }
        }
    }
}
