//! Storage with constant-time insertion and removal, whose keys are never mistaken for one another: that of an entry that was removed
//! finds nothing, even when its place is used again.

pub(crate) use thunderdome::{Arena as Slab, Index as Key};
