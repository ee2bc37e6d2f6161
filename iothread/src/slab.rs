//! Storage with constant-time insertion and removal, whose keys are never mistaken for one another: that of an entry that was removed
//! finds nothing, even when its place is used again.

/// Storage whose entries are reached by [`Key`]s.
pub(crate) type Slab<T> = slotmap::SlotMap<Key, T>;

pub(crate) use slotmap::DefaultKey as Key;
