//! Which of several wrong members the reference names.
//!
//! QEMU keeps the members of an object in hash tables and stops at the first wrong one that it
//! meets there, which is not the first in the text. Peers compare messages, so the order is
//! rebuilt here; only messages depend on it, and only the error path pays.

use std::cmp::Reverse;

/// The place of a member in QEMU's dictionary: 512 chains, chosen by a hash of the key.
fn chain(key: &str) -> u32 {
    let mut value = 0x238f_13af_u32.wrapping_mul(key.len() as u32);
    for (index, byte) in key.bytes().enumerate() {
        let shift = (index as u32).wrapping_mul(5) % 24;
        value = value.wrapping_add(u32::from(byte) << shift);
    }
    value.wrapping_mul(1_103_515_243).wrapping_add(12345) % 512
}

/// Sorts keys as QEMU's dictionary iterates them; in one chain, the key added last comes first.
pub(crate) fn dictionary_order<T>(members: &mut Vec<(&str, T)>) {
    let mut keyed: Vec<_> = members.drain(..).enumerate().collect();
    keyed.sort_by_key(|(position, (key, _))| (chain(key), Reverse(*position)));
    members.extend(keyed.into_iter().map(|(_, member)| member));
}

/// The key that the reference reports when all of `left` are unexpected.
///
/// The visitor copies the dictionary into a hash table with open addressing, removes what it
/// visits, and reports the first key that it meets in what is left. `keys` are all keys in the
/// order of the text.
pub(crate) fn first_unexpected<'a>(
    keys: &[&'a str],
    is_left: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    // With that many, which one is named is of no use to anybody.
    if keys.len() > MANY_KEYS {
        return keys.iter().copied().find(|key| is_left(key));
    }
    let mut members: Vec<(&str, ())> = keys.iter().map(|key| (*key, ())).collect();
    dictionary_order(&mut members);
    let mut table = Table::new();
    for (key, ()) in &members {
        table.insert(key);
    }
    table
        .slots
        .iter()
        .filter_map(|slot| slot.as_ref().map(|(_, key)| *key))
        .find(|key| is_left(key))
}

/// Keys for which the order of the reference is rebuilt.
const MANY_KEYS: usize = 10_000;

/// A hash table with open addressing, quadratic probing, and a size that is a power of two.
struct Table<'a> {
    slots: Vec<Option<(u32, &'a str)>>,
    modulus: u32,
    used: usize,
}

/// The largest prime below each power of two, from 2^3 on; the home slot of a hash is its
/// remainder.
const MODULI: [u32; 12] = [7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381];

impl<'a> Table<'a> {
    fn new() -> Self {
        Self {
            slots: vec![None; 8],
            modulus: MODULI[0],
            used: 0,
        }
    }

    fn insert(&mut self, key: &'a str) {
        // Hashes 0 and 1 mark free and deleted slots.
        let hash = key
            .bytes()
            .fold(5381_u32, |hash, byte| {
                hash.wrapping_mul(33).wrapping_add(byte as i8 as u32)
            })
            .max(2);
        let place = self.place(hash, |slot| self.slots[slot].is_some());
        self.slots[place] = Some((hash, key));
        self.used += 1;
        if self.slots.len() <= self.used + self.used / 16 {
            self.grow();
        }
    }

    fn place(&self, hash: u32, is_used: impl Fn(usize) -> bool) -> usize {
        let mut place = (hash.wrapping_mul(11) % self.modulus) as usize;
        let mut step = 0;
        while is_used(place) {
            step += 1;
            place = (place + step) & (self.slots.len() - 1);
        }
        place
    }

    /// Grows in place: each entry moves to its new slot, and whatever it finds there moves next.
    fn grow(&mut self) {
        let wanted = (self.used as f64 * 1.333) as u32;
        let shift = (u32::BITS - wanted.leading_zeros()).max(3) as usize;
        let Some(&modulus) = MODULI.get(shift - 3) else {
            // Not reached with the limit on keys.
            self.slots.resize(self.slots.len() * 2, None);
            return;
        };
        let old = self.slots.len();
        self.slots.resize(1 << shift, None);
        self.modulus = modulus;
        let mut settled = vec![false; self.slots.len()];
        for index in 0..old {
            if settled[index] {
                continue;
            }
            let mut moving = self.slots[index].take();
            while let Some((hash, key)) = moving {
                let place = self.place(hash, |slot| settled[slot]);
                settled[place] = true;
                moving = self.slots[place].replace((hash, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_order_is_rebuilt() {
        // Observed on QEMU 10.0.2.
        assert_eq!(first_unexpected(&["c", "b", "a"], |_| true), Some("b"));
        let keys = ["qom-type", "id", "zz", "yy"];
        let left = |key: &str| key == "zz" || key == "yy";
        assert_eq!(first_unexpected(&keys, left), Some("yy"));
    }

    #[test]
    fn tables_of_any_size_hold_all_keys() {
        for count in [1, 7, 8, 9, 100, MANY_KEYS, MANY_KEYS + 1] {
            let keys: Vec<String> = (0..count).map(|index| format!("k{index}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let last = *keys.last().unwrap();
            assert_eq!(first_unexpected(&keys, |key| key == last), Some(last));
        }
    }
}
