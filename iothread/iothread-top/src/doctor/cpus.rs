//! Sets of processors.

use std::collections::BTreeSet;
use std::str::FromStr;

/// The most that a list may name: the kernel's own limit is below.
const MAX_CPU: u32 = 1 << 16;

/// Processors, as the kernel lists them: `0-3,8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some that the other has are not in this one.
    pub(crate) fn lacks_some_of(&self, other: &Self) -> bool {
        !self.0.is_superset(&other.0)
    }
}

impl FromStr for CpuSet {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cpus = BTreeSet::new();
        for part in text.split(',').filter(|it| !it.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
            cpus.extend(first..=last.min(MAX_CPU));
        }
        Ok(Self(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        let set = |text: &str| text.parse::<CpuSet>().unwrap();
        assert_eq!(set("0-3,8").len(), 5);
        assert_eq!(set("").len(), 0);
        assert!(set("1").lacks_some_of(&set("0-1")));
        assert!(!set("0-1").lacks_some_of(&set("1")));
        assert_eq!(set("0-4294967295").len(), MAX_CPU as usize + 1);
        assert!("x".parse::<CpuSet>().is_err());
    }
}
