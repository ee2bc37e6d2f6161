//! What has to be so on every system: names of files, and the ends of lines.

use std::fs;
use std::path::Path;

use crate::process::{code, folder_with, shell, stderr};

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

fn names_below(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_below(&path, names);
        } else {
            names.push(path.display().to_string());
        }
    }
}

/// Git may write text with the line ends of Windows.
#[test]
fn a_check_says_when_line_ends_are_the_only_difference() {
    let folder = folder_with(&[("schema.json", "{ 'command': 'go' }\n")]);
    let make = [
        ("rust", "generate schema.json"),
        ("html", "doc schema.json --format html"),
        ("markdown", "doc schema.json --format markdown"),
        ("man", "doc schema.json --format man"),
    ];
    for (name, command) in make {
        let command = format!("$G {command} --out-dir {name}");
        let output = shell(folder.path(), &format!("{command} && {command} --check"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let mut files = Vec::new();
        names_below(&folder.path().join(name), &mut files);
        for file in &files {
            let text = fs::read_to_string(file).expect("text");
            fs::write(file, text.replace('\n', "\r\n")).expect("written");
        }
        let output = shell(folder.path(), &format!("{command} --check"));
        assert_eq!(code(&output), 1);
        let told = stderr(&output);
        assert_eq!(told.lines().count(), files.len(), "{told}");
        let reason = "differs in its line ends only: they should be LF, not CR LF";
        assert!(told.lines().all(|line| line.ends_with(reason)), "{told}");
        // They are ours all the same, and one that differs in more is told of as ever.
        let other = &files[0];
        let text = fs::read_to_string(other).expect("text");
        fs::write(other, format!("{text}\r\n")).expect("written");
        let told = stderr(&shell(folder.path(), &format!("{command} --check")));
        let changed = told.lines().filter(|line| line.ends_with("is out of date"));
        assert_eq!(changed.count(), 1, "{told}");
        let output = shell(folder.path(), &format!("{command} && {command} --check"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
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

#[test]
fn schemas_and_settings_may_have_the_line_ends_of_windows() {
    let schema = "# A comment.\n##\n# @go:\n#\n# Goes.\n#\n# @far: how\n#     far\n#\n# Since: 1.0\n##\n\
                  { 'command': 'go', 'data': { 'far': 'int' },\n  'if': 'CONFIG_GO' }\n";
    let config = "# CONFIG_OTHER is not set\nCONFIG_GO=y\n";
    let settings = "[lints]\nmissing-since = \"deny\"\n";
    let folder = folder_with(&[
        ("lf/schema.json", schema),
        ("lf/config", config),
        ("lf/qapi-gen.toml", settings),
        ("crlf/schema.json", &schema.replace('\n', "\r\n")),
        ("crlf/config", &config.replace('\n', "\r\n")),
        ("crlf/qapi-gen.toml", &settings.replace('\n', "\r\n")),
    ]);
    let output = shell(
        folder.path(),
        "set -e
         for ends in lf crlf; do
             cd $ends
             $G check schema.json; $G dump schema.json > dump
             $G generate schema.json --config config --out-dir rust
             $G doc schema.json --format html --out-dir html
             cd ..
         done
         rm */schema.json */config */qapi-gen.toml; diff -r lf crlf",
    );
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 0, "{told}{}", stderr(&output));
}
