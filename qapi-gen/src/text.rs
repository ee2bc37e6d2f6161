//! Looking for names: in long lists, and those that are like one that nothing has.

use std::cell::Cell;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::steps::{step, steps};

/// The positions of a list by the names that stand there, where it is long.
#[derive(Debug, Default)]
pub(crate) struct ByName(OnceLock<Box<(HashTable<u32>, DefaultHashBuilder)>>);

impl ByName {
    /// Not made yet.
    #[cfg(feature = "diff")]
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first of `n` positions that has the name `name`; some positions may have no name.
    pub(crate) fn find<'n>(
        &self,
        name: &str,
        n: usize,
        name_of: impl Fn(usize) -> Option<&'n str>,
    ) -> Option<usize> {
        /// Up to this many a scan is faster.
        const FEW: usize = 16;
        let has = |index: usize, name: &str| {
            step();
            name_of(index) == Some(name)
        };
        if n <= FEW {
            return (0..n).find(|index| has(*index, name));
        }
        let (table, hasher) = &**self.0.get_or_init(|| {
            let hasher = DefaultHashBuilder::default();
            let mut table = HashTable::with_capacity(n);
            for index in 0..n {
                let Some(name) = name_of(index) else { continue };
                let hash =
                    |index: &u32| hasher.hash_one(name_of(*index as usize).unwrap_or_default());
                // The first one of a name stays. A schema has fewer names than bytes, which fit 32 bits.
                table
                    .entry(
                        hasher.hash_one(name),
                        |other| has(*other as usize, name),
                        hash,
                    )
                    .or_insert(index as u32);
            }
            Box::new((table, hasher))
        });
        let found = table.find(hasher.hash_one(name), |index| has(*index as usize, name));
        found.map(|index| *index as usize)
    }
}

/// How many bytes of names a [`Nearest`] looks at. A schema of QEMU's size has room for some hundred
/// mistakes in it; with more of them, guesses do not help.
const MAX_COMPARED: usize = 1 << 20;

/// Looks for similar names, until it has looked at too many: what takes a look at every candidate
/// for every mistake must end somewhere.
pub(crate) struct Nearest {
    left: Cell<usize>,
}

impl Default for Nearest {
    fn default() -> Self {
        Self {
            left: Cell::new(MAX_COMPARED),
        }
    }
}

impl Nearest {
    /// The candidate that is most like `name`, if one is like it enough to be what was meant.
    pub(crate) fn find<'c>(
        &self,
        name: &str,
        candidates: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        let left = &self.left;
        let affordable = candidates.take_while(|candidate| {
            // The shortest look has its price, too.
            let price = candidate.len() + 8;
            steps(1);
            left.set(left.get().saturating_sub(price));
            left.get() > 0
        });
        if left.get() == 0 {
            return None;
        }
        let found = nearest(name, affordable);
        // The best of some may not be the best of all.
        found.filter(|_| left.get() > 0)
    }
}

/// The candidate that is most like `name`, if one is like it enough to be what was meant; for
/// candidates of which there are few.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let limit = (name.len() / 3).clamp(1, 3);
    candidates
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit)
        .map(|candidate| (distance(name, candidate, limit), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions and substitutions between two names, case ignored; any
/// number over `limit` where it is larger than that.
fn distance(left: &str, right: &str, limit: usize) -> usize {
    let (left, right) = without_common_ends(left.as_bytes(), right.as_bytes());
    let far = limit + 1;
    // Cells further from the diagonal than the limit are over it.
    let mut row: Vec<usize> = (0..=right.len()).map(|at| at.min(far)).collect();
    for (n, byte) in left.iter().enumerate() {
        let first = (n + 1).saturating_sub(limit).max(1);
        let last = (n + 1 + limit).min(right.len());
        let mut diagonal = row[first - 1];
        row[first - 1] = if first == 1 { (n + 1).min(far) } else { far };
        let mut least = row[first - 1];
        for at in first..=last {
            steps(1);
            let is_other = !byte.eq_ignore_ascii_case(&right[at - 1]);
            let substituted = diagonal + usize::from(is_other);
            diagonal = row[at];
            // What was beyond the band a row above is far.
            let above = if at == n + 1 + limit { far } else { row[at] };
            row[at] = substituted.min(row[at - 1] + 1).min(above + 1).min(far);
            least = least.min(row[at]);
        }
        if least > limit {
            return far;
        }
    }
    row[right.len()]
}

/// What is between the start and the end that both have, case ignored. The distance is that of the rest, and most names that are
/// compared are much alike.
fn without_common_ends<'b>(mut left: &'b [u8], mut right: &'b [u8]) -> (&'b [u8], &'b [u8]) {
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right)
        && a.eq_ignore_ascii_case(b)
    {
        steps(1);
        (left, right) = (left_rest, right_rest);
    }
    while let ([left_rest @ .., a], [right_rest @ .., b]) = (left, right)
        && a.eq_ignore_ascii_case(b)
    {
        steps(1);
        (left, right) = (left_rest, right_rest);
    }
    (left, right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By definition.
    fn plain(left: &[u8], right: &[u8]) -> usize {
        match (left, right) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, left_rest @ ..], [b, right_rest @ ..]) => {
                let substituted = plain(left_rest, right_rest) + usize::from(a != b);
                substituted
                    .min(plain(left_rest, right) + 1)
                    .min(plain(left, right_rest) + 1)
            }
        }
    }

    proptest! {
        #[test]
        fn the_distance_within_the_limit_is_exact(left in "[ab]{0,6}", right in "[ab]{0,6}", limit in 1_usize..4) {
            let exact = plain(left.as_bytes(), right.as_bytes()).min(limit + 1);
            prop_assume!(left.len().abs_diff(right.len()) <= limit);
            prop_assert_eq!(distance(&left, &right, limit), exact);
        }
    }

    #[test]
    fn guesses_end() {
        let nearest = Nearest::default();
        let names: Vec<String> = (0..1000).map(|n| format!("name{n}")).collect();
        let found = |name| nearest.find(name, names.iter().map(String::as_str));
        assert_eq!(found("nam5"), Some("name5"));
        let n_found = (0..1000).filter(|_| found("nam5").is_some()).count();
        assert!((10..200).contains(&n_found), "{n_found}");
    }
}
