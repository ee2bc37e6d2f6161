//! What has to be so on every system: names of files, and the ends of lines.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{QAPI_GEN, code, folder_with, leftovers, modules, run, run_with, stderr};

/// The files in a folder and those in it.
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
        let make = || {
            let output = run(folder.path(), &format!("{command} --out-dir {name}"));
            assert_eq!(code(&output), 0, "{}", stderr(&output));
        };
        let check = || {
            run(
                folder.path(),
                &format!("{command} --out-dir {name} --check"),
            )
        };
        make();
        assert_eq!(code(&check()), 0, "{}", stderr(&check()));
        let mut files = Vec::new();
        names_below(&folder.path().join(name), &mut files);
        for file in &files {
            let text = fs::read_to_string(file).expect("text");
            fs::write(file, text.replace('\n', "\r\n")).expect("written");
        }
        let output = check();
        assert_eq!(code(&output), 1);
        let told = stderr(&output);
        assert_eq!(told.lines().count(), files.len(), "{told}");
        let reason = "differs in its line ends only: they should be LF, not CR LF";
        assert!(told.lines().all(|line| line.ends_with(reason)), "{told}");
        // They are ours all the same, and one that differs in more is told of as ever.
        let other = &files[0];
        let text = fs::read_to_string(other).expect("text");
        fs::write(other, format!("{text}\r\n")).expect("written");
        let told = stderr(&check());
        let changed = told.lines().filter(|line| line.ends_with("is out of date"));
        assert_eq!(changed.count(), 1, "{told}");
        make();
        assert_eq!(code(&check()), 0, "{}", stderr(&check()));
    }
}

/// Modules whose pages and files would have names that differ in upper and lower case only, which are one file on Windows and macOS.
#[test]
fn no_two_files_meet_where_upper_and_lower_case_are_one() {
    let folder = folder_with(&[
        (
            "main.json",
            "{ 'include': 'x-y.json' }\n{ 'include': 'X/y.json' }\n{ 'include': 'x_Y.json' }\n\
             { 'include': 'Index.json' }\n{ 'include': 'Mod.json' }\n",
        ),
        ("x-y.json", "{ 'command': 'first' }\n"),
        ("X/y.json", "{ 'command': 'second' }\n"),
        ("x_Y.json", "{ 'command': 'third' }\n"),
        ("Index.json", "{ 'command': 'fourth' }\n"),
        ("Mod.json", "{ 'command': 'fifth' }\n"),
    ]);
    for command in [
        "generate main.json",
        "doc main.json --format html",
        "doc main.json --format markdown",
        "doc main.json --format man",
    ] {
        let out = tempfile::tempdir_in(folder.path()).expect("a folder");
        let arguments = |more: &str| {
            let out = out.path().file_name().expect("a name").to_string_lossy();
            format!("{command} --out-dir {out}{more}")
        };
        let made = run(folder.path(), &arguments(""));
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        // None has been written over another one.
        let checked = run(folder.path(), &arguments(" --check"));
        assert_eq!(code(&checked), 0, "{}", stderr(&checked));
        let mut names = Vec::new();
        names_below(out.path(), &mut names);
        let texts = names
            .iter()
            .map(|name| fs::read_to_string(name).expect("text"));
        let texts: String = texts.collect();
        for command in ["first", "second", "third", "fourth", "fifth"] {
            assert!(texts.contains(command), "{command}");
        }
        let n_files = names.len();
        let mut small: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        small.sort();
        small.dedup();
        assert_eq!(small.len(), n_files, "{names:?}");
    }
}

#[test]
fn schemas_and_settings_may_have_the_line_ends_of_windows() {
    let schema = "# A comment.\n##\n# @go:\n#\n# Goes.\n#\n# @far: how\n#     far\n#\n# Since: 1.0\n##\n\
                  { 'command': 'go', 'data': { 'far': 'int' },\n  'if': 'CONFIG_GO' }\n";
    let config = "# CONFIG_OTHER is not set\nCONFIG_GO=y\n";
    let settings = "[lints]\nmissing-since = \"deny\"\n";
    let with_ends = |ends: &str| {
        let folder = folder_with(&[
            ("schema.json", &schema.replace('\n', ends)),
            ("config", &config.replace('\n', ends)),
            ("qapi-gen.toml", &settings.replace('\n', ends)),
        ]);
        let mut made = Vec::new();
        for command in [
            "check schema.json",
            "dump schema.json",
            "generate schema.json --config config --out-dir rust",
            "doc schema.json --format html --out-dir html",
        ] {
            let output = run(folder.path(), command);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            made.push((command.to_owned(), output.stdout));
        }
        let mut names = Vec::new();
        for name in ["rust", "html"] {
            names_below(&folder.path().join(name), &mut names);
        }
        names.sort();
        for name in names {
            let below = name.trim_start_matches(&*folder.path().to_string_lossy());
            made.push((below.to_owned(), fs::read(&name).expect("a file")));
        }
        made
    };
    let made = with_ends("\n");
    assert!(made.len() > 20, "{}", made.len());
    assert_eq!(with_ends("\r\n"), made);
}

#[test]
fn runs_into_one_folder_do_not_trip_each_other() {
    let schemas = [modules("a", 12), modules("b", 12)];
    let out = tempfile::tempdir().expect("a folder");
    for _ in 0..6 {
        let runs: Vec<_> = (0..6)
            .map(|n| {
                let mut command = Command::new(QAPI_GEN);
                command.args(["generate", "schema.json", "--out-dir"]);
                command.arg(out.path()).current_dir(schemas[n % 2].path());
                command.stderr(Stdio::piped()).spawn().expect("a process")
            })
            .collect();
        for run in runs {
            let output = run.wait_with_output().expect("ended");
            assert_eq!(code(&output), 0, "{}", stderr(&output));
        }
    }
    assert_eq!(leftovers(out.path()), Vec::<PathBuf>::new());
    let out_dir = out.path().to_str().expect("UTF-8");
    for check in [None, Some("--check")] {
        let words = ["generate", "schema.json", "--out-dir", out_dir];
        let output = run_with(schemas[0].path(), words.into_iter().chain(check));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
}
