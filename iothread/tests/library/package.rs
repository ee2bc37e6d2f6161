//! What the package promises about its size.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The lines of all files below `folder`: code, comments and blank ones; all but the tests at the end of each file.
fn n_lines(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder of the package");
    let paths = entries.map(|entry| entry.expect("a folder that is read").path());
    paths
        .map(|path| {
            if path.is_dir() {
                return n_lines(&path);
            }
            let text = std::fs::read_to_string(&path).expect("a file of text");
            text.lines()
                .take_while(|line| *line != "mod tests {")
                .count()
        })
        .sum()
}

#[test]
fn the_library_has_fewer_than_8000_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let n_lines = n_lines(&folder);
    // It is all there is, not only a part that was found.
    assert!((6_000..8_000).contains(&n_lines), "{n_lines} lines");
}

#[test]
fn the_library_without_features_is_built_of_fewer_than_17_crates() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "iothread", "--edges", "normal,build"])
        .args([
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--no-dedupe",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the cargo that runs the tests");
    let text = String::from_utf8(tree.stdout).expect("names of crates");
    let crates: BTreeSet<_> = text.lines().collect();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    assert!(crates.iter().any(|it| it.starts_with("iothread ")));
    assert!(crates.len() < 17, "{crates:#?}");
}
