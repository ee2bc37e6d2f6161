//! Locks of iothreadd have a level each: those of the standard library, which have none, are in one file.

use std::fs;
use std::path::Path;

use crate::walk;

/// The file that gives them their levels.
const SHIM: &str = "sync.rs";

const LOCKS: [&str; 5] = ["Mutex", "RwLock", "Condvar", "Barrier", "Once"];

/// The locks of the standard library that a source names.
fn locks_in(text: &str) -> Vec<&str> {
    let behind = text.split("std::sync::").skip(1);
    let in_path = behind.flat_map(|path| {
        let end = path.find([';', '(', '<', '\n']).unwrap_or(path.len());
        let end = match path.starts_with('{') {
            true => path.find('}').unwrap_or(path.len()),
            false => end,
        };
        path[..end].split(|ch: char| !ch.is_alphanumeric())
    });
    in_path.filter(|name| LOCKS.contains(name)).collect()
}

#[test]
fn locks_are_made_where_they_get_a_level() {
    let sources = tests::workspace().join("iothread/iothreadd/src");
    let mut files = Vec::new();
    walk(&sources, &mut files);
    let has_locks = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let found = locks_in(&text);
        (!found.is_empty()).then(|| format!("{}: {found:?}", path.display()))
    };
    let is_source = |path: &&std::path::PathBuf| path.extension().is_some_and(|it| it == "rs");
    let is_shim = |path: &std::path::PathBuf| *path == sources.join(SHIM);
    let (shim, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|it| is_source(&it))
        .partition(is_shim);
    assert!(shim.iter().all(|path| has_locks(path).is_some()) && shim.len() == 1);
    let found: Vec<String> = others.iter().filter_map(|path| has_locks(path)).collect();
    assert!(
        others.len() > 100 && found.is_empty(),
        "{}",
        found.join("\n")
    );
}

#[test]
fn a_lock_without_a_level_is_found() {
    for (text, found) in [
        ("use std::sync::Mutex;", &["Mutex"][..]),
        ("use std::sync::{Arc, RwLock as Other};", &["RwLock"]),
        ("use std::sync::{\n    Arc,\n    Condvar,\n};", &["Condvar"]),
        ("let it = std::sync::Mutex::new(());", &["Mutex"]),
        ("use std::sync::Arc;\nuse crate::sync::Mutex;", &[]),
        ("use std::sync::atomic::AtomicBool; struct Mutex;", &[]),
        ("use std::sync::OnceLock;", &[]),
    ] {
        assert_eq!(locks_in(text), found, "{text}");
    }
}
