//! Systems of whose processes nothing is looked at: all that only Linux's kernel tells is unknown.

use std::path::PathBuf;

/// The numbers and names of all threads of a process.
pub(crate) fn threads(_process: u32) -> Option<Vec<(i64, String)>> {
    None
}

/// All processes that can be seen.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    std::iter::empty()
}

/// What a process was started with, each argument with a zero behind it.
pub(crate) fn arguments(_process: u32) -> Vec<u8> {
    Vec::new()
}

/// The file of the program that a process runs.
pub(crate) fn program(_process: u32) -> Option<PathBuf> {
    None
}
