//! What the package promises about its size.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The lines of all files below `folder` that count, without the tests at the end of each file.
fn n_lines(folder: &Path, counts: fn(&str) -> bool) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder of the package");
    let paths = entries.map(|entry| entry.expect("a folder that is read").path());
    paths
        .map(|path| {
            if path.is_dir() {
                return n_lines(&path, counts);
            }
            let text = std::fs::read_to_string(&path).expect("a file of text");
            let is_own = |line: &&str| *line != "mod tests {";
            let lines = text.lines().take_while(is_own);
            lines.filter(|line| counts(line)).count()
        })
        .sum()
}

/// Neither blank nor a comment.
fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

#[test]
fn the_library_has_fewer_than_8000_lines_of_code_and_9100_in_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let code = n_lines(&folder, is_code);
    let whole = n_lines(&folder, |_| true);
    let generated = n_lines(&folder.join("qapi"), |_| true);
    // It is all there is, not only a part that was found.
    assert!((4_000..8_000).contains(&code), "{code} lines");
    assert!((6_000..9_100).contains(&whole), "{whole} lines");
    assert!((100..600).contains(&generated), "{generated} lines");
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
