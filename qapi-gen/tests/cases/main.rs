//! What is tested by files: an input and what is expected of it, in folders; `BLESS=1` writes the expected files of ours.
//! And what is made of whole schemas, before those who judge such things.

mod corpus;
mod diff;
mod readers;
mod rust;
mod suite;
mod webdriver;

use std::path::PathBuf;

use tests::Suite;

fn main() {
    let suite = corpus::add(Suite::new());
    let suite = rust::add(suite);
    let suite = diff::add(suite);
    let suite = suite::add(suite);
    readers::add(suite).run();
}

/// The files in a folder below `tests/` whose names end so, without those in its sub-folders.
///
/// # Panics
///
/// When there are no cases.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let folder = tests::workspace().join("qapi-gen/tests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(end)))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    files
}
