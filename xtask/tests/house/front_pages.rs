//! What somebody sees who opens the documentation of a package.

use std::fs;

use super::PUBLISHED;

/// How many lines of a front page are read before anybody scrolls.
const FIRST: usize = 40;

/// A name of older versions, which new programs do not use.
const OLD_NAMES: [&str; 1] = ["tokio"];

/// The features that a manifest declares.
fn features(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]");
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = "));
    let names = names.map(|(name, _)| name);
    let is_shown =
        |name: &&str| *name != "default" && !name.starts_with('#') && !OLD_NAMES.contains(name);
    names.filter(is_shown).collect()
}

/// Says what the first lines of a front page lack.
fn check(readme: &str, features: &[&str]) -> Result<(), String> {
    let first: Vec<&str> = readme.lines().take(FIRST).collect();
    let prose = |line: &&str| line.starts_with(char::is_alphabetic);
    if !first.iter().take(5).any(prose) {
        return Err("what it is for".to_owned());
    }
    // Whatever is in such a block is compiled and run with the doc tests.
    let program = first.iter().position(|line| line.starts_with("```rust"));
    let program =
        program.filter(|n| !first[*n].contains("ignore") && !first[*n].contains("no_run"));
    let end = program.and_then(|start| first[start + 1..].iter().position(|line| *line == "```"));
    if end.is_none() {
        return Err("a program that runs".to_owned());
    }
    let text = first.join("\n");
    if features.is_empty() && !text.contains("no features") {
        return Err("that it has no features".to_owned());
    }
    let is_missing = |name: &&&str| !text.contains(&format!("`{name}`"));
    match features.iter().find(is_missing) {
        None => Ok(()),
        Some(name) => Err(format!("the feature '{name}'")),
    }
}

#[test]
fn a_front_page_says_what_it_is_for_shows_a_program_and_lists_the_features() {
    for package in PUBLISHED {
        let folder = tests::workspace().join(package);
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let manifest = read("Cargo.toml");
        if let Err(what) = check(&read("README.md"), &features(&manifest)) {
            panic!("the first {FIRST} lines of {package}/README.md lack {what}");
        }
        // It is the front page of the documentation, too.
        let library = read("src/lib.rs");
        let start: String = library.lines().take(4).collect();
        assert!(
            start.contains("include_str!(\"../README.md\")"),
            "{package}"
        );
    }
}

#[test]
fn what_a_front_page_lacks_is_found() {
    let whole = "# name\n\nIt does something.\n\n```rust\nrun();\n```\n\n| `one` | `two` |\n";
    assert_eq!(check(whole, &["one", "two"]), Ok(()));
    let lacks =
        |readme: &str, features: &[&str]| check(readme, features).expect_err("it lacks something");
    assert_eq!(
        lacks(&whole.replace("It does something.", ""), &[]),
        "what it is for"
    );
    assert_eq!(
        lacks(&whole.replace("```rust", "```sh"), &["one"]),
        "a program that runs"
    );
    assert_eq!(
        lacks(&whole.replace("```rust", "```rust,no_run"), &["one"]),
        "a program that runs"
    );
    assert_eq!(lacks(whole, &["one", "three"]), "the feature 'three'");
    assert_eq!(lacks(whole, &[]), "that it has no features");
    let late = whole.replace("run();\n", &"run();\n".repeat(FIRST));
    assert_eq!(lacks(&late, &["one"]), "a program that runs");
    let manifest = "[package]\n\n[features]\ndefault = []\n# A comment.\none = []\ntokio = []\n\n[dependencies]\nx = \"1\"\n";
    assert_eq!(features(manifest), ["one"]);
}
