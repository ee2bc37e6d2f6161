//! Which of several wrong members the reference names.
//!
//! QEMU keeps the members of an object in hash tables and stops at the first wrong one that it
//! meets there, which is not the first in the text. Peers compare messages, so the order is
//! rebuilt here; only messages depend on it, and only the error path pays.

use std::cmp::Reverse;
use std::collections::HashSet;

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

/// The key that the reference reports when some are left that it does not expect.
///
/// The visitor copies the dictionary into a hash table with open addressing, removes what it
/// visits, and reports the first key that it meets in what is left. `keys` are all keys in the
/// order of the text, `taken` the indices of those that are visited, in the order of the visits:
/// the table shrinks on the way, and what has its place by then decides where the others go.
pub(crate) fn first_unexpected<'a>(keys: &[&'a str], taken: &[usize]) -> Option<&'a str> {
    // With that many, which one is named is of no use to anybody.
    if keys.len() > MANY_KEYS {
        let taken: HashSet<&usize> = taken.iter().collect();
        let left = (0..keys.len()).find(|index| !taken.contains(index))?;
        return keys.get(left).copied();
    }
    let mut members: Vec<(&str, ())> = keys.iter().map(|key| (*key, ())).collect();
    dictionary_order(&mut members);
    let mut table = Table::new();
    for (key, ()) in &members {
        table.insert(key);
    }
    for index in taken {
        table.remove(keys[*index]);
    }
    table.keys().next()
}

/// Keys for which the order of the reference is rebuilt.
const MANY_KEYS: usize = 10_000;

/// A hash table with open addressing, quadratic probing, and a size that is a power of two.
struct Table<'a> {
    slots: Vec<Option<(u32, &'a str)>>,
    /// The size less one.
    mask: usize,
    modulus: u32,
    used: usize,
}

const MIN_SIZE: usize = 8;

/// The largest prime below each power of two, from 2^3 on; the home slot of a hash is its
/// remainder. Enough for [`MANY_KEYS`].
const MODULI: [u32; 12] = [7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381];

impl<'a> Table<'a> {
    fn new() -> Self {
        Self {
            slots: vec![None; MIN_SIZE],
            mask: MIN_SIZE - 1,
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
            self.resize();
        }
    }

    /// A deleted slot is as good as a free one here: nothing is inserted or looked up after it.
    fn remove(&mut self, key: &str) {
        let is_it = |slot: &&mut Option<(u32, &str)>| slot.is_some_and(|(_, other)| other == key);
        let Some(slot) = self.slots.iter_mut().find(is_it) else {
            return;
        };
        *slot = None;
        self.used -= 1;
        let size = self.slots.len();
        if size > MIN_SIZE && size > 4 * self.used {
            self.resize();
        }
    }

    fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.slots
            .iter()
            .filter_map(|slot| slot.map(|(_, key)| key))
    }

    fn place(&self, hash: u32, is_used: impl Fn(usize) -> bool) -> usize {
        let mut place = (hash.wrapping_mul(11) % self.modulus) as usize;
        let mut step = 0;
        while is_used(place) {
            step += 1;
            place = (place + step) & self.mask;
        }
        place
    }

    /// Fits the size to what is used, in place: each entry moves to its new slot, and whatever it
    /// finds there moves next.
    fn resize(&mut self) {
        let wanted = (self.used as f64 * 1.333) as u32;
        let shift = (u32::BITS - wanted.leading_zeros()).max(3) as usize;
        let old = self.slots.len();
        let new = 1 << shift;
        // Both sizes at once while entries move.
        self.slots.resize(old.max(new), None);
        self.mask = new - 1;
        self.modulus = MODULI[shift - 3];
        let mut settled = vec![false; old.max(new)];
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
        self.slots.truncate(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_order_is_rebuilt() {
        // Observed on QEMU 10.0.2.
        assert_eq!(first_unexpected(&["c", "b", "a"], &[]), Some("b"));
        let keys = ["qom-type", "id", "zz", "yy"];
        assert_eq!(first_unexpected(&keys, &[0, 1]), Some("yy"));
    }

    /// Keys, and which of them the visitor meets, one after the other.
    fn first_after(keys: &[&str], visited: &str) -> Option<String> {
        let taken: Vec<usize> = visited
            .split_whitespace()
            .filter_map(|visited| keys.iter().position(|key| *key == visited))
            .collect();
        first_unexpected(keys, &taken).map(str::to_owned)
    }

    #[test]
    fn tables_shrink_as_those_of_the_reference() {
        // Observed on QEMU 10.0.2.
        let keys = [
            "job-id",
            "device",
            "base",
            "top-node",
            "top",
            "backing-file",
            "speed",
            "on-error",
            "a.b",
            "id",
        ];
        let commit = "job-id device base-node base top-node top backing-file speed on-error";
        assert_eq!(first_after(&keys, commit).as_deref(), Some("a.b"));
        let keys = [
            "iops_rd",
            "bps_rd_max",
            "id",
            "bps_rd",
            "iops",
            "bps_wr_max",
            "iops_wr_max",
            "bps_wr",
            "bps",
            "iops_size",
            "iops_wr",
            "device",
            "group",
            "bps_wr_max_length",
            "iops_wr_max_length",
            "iops_max",
            "x-no",
            "driver",
        ];
        let throttle = "device id bps bps_rd bps_wr iops iops_rd iops_wr bps_max bps_rd_max \
            bps_wr_max iops_max iops_rd_max iops_wr_max bps_max_length bps_rd_max_length \
            bps_wr_max_length iops_max_length iops_rd_max_length iops_wr_max_length iops_size group";
        assert_eq!(first_after(&keys, throttle).as_deref(), Some("driver"));
    }

    #[test]
    fn tables_of_any_size_hold_all_keys() {
        for count in [1, 7, 8, 9, 100, MANY_KEYS, MANY_KEYS + 1] {
            let keys: Vec<String> = (0..count).map(|index| format!("k{index}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let taken: Vec<usize> = (0..count - 1).take(500).collect();
            let left = first_unexpected(&keys, &taken).unwrap();
            assert!(keys[taken.len()..].contains(&left));
        }
    }
}
