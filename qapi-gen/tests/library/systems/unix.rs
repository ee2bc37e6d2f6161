//! Names of files that only Unix can hold, and links.

use super::names_below;
use crate::command::{code, folder_with, stderr};
use crate::process::shell;

/// Modules that are called like devices of Windows.
const NAMES: [&str; 4] = ["con", "AUX", "com1", "nul"];

#[test]
fn no_generated_file_has_the_name_of_a_device() {
    let mut main = String::new();
    let mut files = Vec::new();
    for (n, name) in NAMES.into_iter().enumerate() {
        main.push_str(&format!("{{ 'include': 'sub/{n}/{name}.json' }}\n"));
        let text = format!(
            "{{ 'struct': 'Thing{n}', 'data': {{}} }}\n{{ 'command': 'c{n}', 'data': 'Thing{n}' }}\n"
        );
        files.push((format!("sub/{n}/{name}.json"), text));
    }
    // Beside the main file, whose folder no name says; and two that are one name in small letters.
    for name in ["con", "aux", "x/Block", "x-block"] {
        main.push_str(&format!("{{ 'include': '{name}.json' }}\n"));
        files.push((
            format!("{name}.json"),
            format!(
                "{{ 'event': '{}' }}\n",
                name.to_uppercase().replace('/', "_OF_")
            ),
        ));
    }
    // The main file gives man pages their names.
    files.push(("prn.json".to_owned(), main));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let folder = folder_with(&files);
    let output = shell(
        folder.path(),
        "set -e; $G generate prn.json --out-dir out/rust
         for format in html markdown man; do $G doc prn.json --format $format --out-dir out/$format; done",
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let mut names = Vec::new();
    names_below(&folder.path().join("out"), &mut names);
    assert!(names.len() > 40, "{names:?}");
    for name in [
        "events/con_.rs",
        "events/aux_.rs",
        "html/con-2.html",
        "man/prn-2.7",
    ] {
        assert!(
            names.iter().any(|path| path.ends_with(name)),
            "{name}: {names:?}"
        );
    }
    for name in &names {
        let file = name.rsplit('/').next().unwrap_or_default();
        let stem = file.split('.').next().unwrap_or_default();
        let is_device = ["con", "prn", "aux", "nul", "com1"].contains(&&*stem.to_lowercase());
        assert!(!is_device && !file.ends_with(['.', ' ']), "{name}");
    }
    let n = names.len();
    let mut small: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    small.sort();
    small.dedup();
    assert_eq!(small.len(), n, "{names:?}");
}

/// A file whose name differs in upper and lower case only may be the file itself; on this system a link makes it so.
#[test]
fn a_file_under_another_name_is_not_removed() {
    let folder = folder_with(&[("schema.json", "{ 'command': 'go' }\n")]);
    let make = "$G generate schema.json --out-dir out";
    let rename =
        "cd out/commands && mv schema.rs Schema.rs && ln -s Schema.rs schema.rs && cd ../..";
    let output = shell(
        folder.path(),
        &format!("{make} && {rename} && {make} --check"),
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // Where it is another one, it is of a former run.
    let split = "cd out/commands && rm schema.rs && cp Schema.rs schema.rs && cd ../..";
    let output = shell(
        folder.path(),
        &format!("{split} && {make} && ls out/commands"),
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "mod.rs\nschema.rs\n"
    );
}
