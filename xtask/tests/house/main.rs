//! What files there are, what they are called, and how they use each other.

#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

mod circles;
mod front_pages;
mod imports;
mod locks;

use std::fs;
use std::path::{Path, PathBuf};

/// Names that a file cannot have on Windows, whatever follows a dot.
const RESERVED: [&str; 4] = ["aux", "con", "nul", "prn"];

/// The packages that others can get.
const PUBLISHED: [&str; 9] = [
    "qapi-gen",
    "qapi-runtime",
    "qapi-runtime/qmp",
    "iothread",
    "iothread/iothreadd",
    "iothread/iothread-qapi",
    "iothread/iothread-testing",
    "iothread/iothread-top",
    "iothread/iothread-metrics",
];

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let port = stem
        .strip_prefix("com")
        .or_else(|| stem.strip_prefix("lpt"));
    let is_port = port.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']));
    RESERVED.contains(&stem.as_str()) || is_port
}

/// Whether Windows can have a file of that name.
fn is_portable(name: &str) -> bool {
    let is_odd = |c: char| c.is_control() || r#"<>:"/\|?*"#.contains(c);
    !is_reserved(name) && !name.contains(is_odd) && !name.ends_with(['.', ' '])
}

/// All files and folders of ours below `folder`; what was built is left out.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of ours") {
        let entry = entry.expect("a folder of ours");
        let name = entry.file_name();
        if name == ".git" || name == "target" {
            continue;
        }
        found.push(entry.path());
        if entry.file_type().expect("it has just been there").is_dir() {
            walk(&entry.path(), found);
        }
    }
}

#[test]
fn names_that_windows_reserves_are_known() {
    for name in [
        "nul.json",
        "NUL",
        "aux.tar.gz",
        "com1",
        "LPT9.txt",
        "a:b",
        "a.",
        "a ",
    ] {
        assert!(!is_portable(name), "{name}");
    }
    for name in [
        "null.json",
        "nul-byte.json",
        "com10",
        ".nul",
        "console",
        "lpt",
    ] {
        assert!(is_portable(name), "{name}");
    }
}

#[test]
fn every_file_has_a_name_that_windows_can_have() {
    let mut files = Vec::new();
    walk(&tests::workspace(), &mut files);
    assert!(files.len() > 1000, "{} files", files.len());
    let mut lower: Vec<String> = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(is_portable(name), "{}", path.display());
        lower.push(path.to_str().unwrap().to_lowercase());
    }
    // It does not tell upper case from lower case.
    lower.sort_unstable();
    for pair in lower.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
}

#[test]
fn every_package_is_ready_to_be_published() {
    let top = tests::workspace();
    for package in PUBLISHED {
        let folder = top.join(package);
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let ours = fs::read_to_string(top.join(licence)).unwrap();
            assert_eq!(read(licence), ours, "{package}/{licence}");
        }
        assert!(read("CHANGELOG.md").contains("\n## "), "{package}");
        let manifest = read("Cargo.toml");
        for field in ["readme", "description", "keywords"] {
            let is_it = |line: &str| line.starts_with(&format!("{field} = "));
            assert!(manifest.lines().any(is_it), "{package}: {field}");
        }
        assert!(manifest.contains("[package.metadata.docs.rs]"), "{package}");
    }
}
