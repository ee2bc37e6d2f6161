//! `qapi-gen` as a process, on any system.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) const QAPI_GEN: &str = env!("CARGO_BIN_EXE_qapi-gen");

/// A run of the program with these words.
pub(crate) fn run(folder: &Path, words: &str) -> Output {
    run_with(folder, words.split_whitespace())
}

/// A run of the program with these arguments.
pub(crate) fn run_with(folder: &Path, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Output {
    let mut command = Command::new(QAPI_GEN);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).output().expect("qapi-gen")
}

/// A folder with these files.
pub(crate) fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

/// Standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The status, which is the program's own.
pub(crate) fn code(output: &Output) -> i32 {
    output
        .status
        .code()
        .unwrap_or_else(|| panic!("{}: {}", output.status, stderr(output)))
}

/// The smallest schema.
pub(crate) const COMMAND: &str = "{ 'command': 'cmd' }\n";

/// Files that did not come from a run, in a folder and those in it.
pub(crate) fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(folder) = queue.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".tmp") {
                found.push(path);
            } else if path.is_dir() {
                queue.push(path);
            }
        }
    }
    found
}

/// A schema of many modules.
pub(crate) fn modules(prefix: &str, n: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut main = String::new();
    for n in 0..n {
        main.push_str(&format!("{{ 'include': '{prefix}{n}.json' }}\n"));
        let text = format!("{{ 'command': '{prefix}{n}', 'data': {{ 'a': 'int' }} }}\n");
        fs::write(folder.path().join(format!("{prefix}{n}.json")), text).expect("written");
    }
    fs::write(folder.path().join("schema.json"), main).expect("written");
    folder
}
