//! The command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use qapi_gen::diagnostic::LintLevels;
use qapi_gen::loader::FileLoader;

use super::{module_names, old_and_plain};
use crate::load;

fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qapi-gen"));
    command.args(arguments.split(' ')).current_dir(folder);
    command.output().expect("a process")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments}: {}: {}",
        output.status,
        stderr(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_command_can_ignore_documentation() {
    let folder = old_and_plain();
    for (command, after) in [
        ("check", ""),
        ("dump", ""),
        ("introspect", ""),
        ("validate", " commands"),
        ("generate --out-dir out", ""),
        ("doc --format markdown --out-dir manual", ""),
    ] {
        let old = format!("{command} old/schema.json{after}");
        let output = run(folder.path(), &old);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{command} takes the comments"
        );
        let made = succeeds(folder.path(), &format!("{old} --no-doc-check"));
        let plain = succeeds(
            folder.path(),
            &format!("{command} plain/schema.json{after}"),
        );
        assert_eq!(made, plain, "{command}");
    }
    // The files are those of the plain schema, which came last: nothing has changed since.
    succeeds(
        folder.path(),
        "generate old/schema.json --no-doc-check --check --out-dir out",
    );
    assert_eq!(
        run(folder.path(), "diff plain/schema.json old/schema.json")
            .status
            .code(),
        Some(1)
    );
    let changes = succeeds(
        folder.path(),
        "diff --no-doc-check plain/schema.json old/schema.json",
    );
    assert_eq!(changes, "");
}

#[test]
fn a_define_has_one_of_three_forms() {
    let folder = old_and_plain();
    let with = |define: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qapi-gen"));
        command.args(["introspect", "plain/schema.json", "-D", define]);
        command
            .current_dir(folder.path())
            .output()
            .expect("a process")
    };
    for good in ["CONFIG_A", "CONFIG_A=y", "CONFIG_A=n", "A", "A_1=y"] {
        let output = with(good);
        assert!(output.status.success(), "{good}: {}", stderr(&output));
    }
    for bad in [
        "CONFIG_A=no",
        "CONFIG_A=yes",
        "CONFIG_A=",
        "CONFIG_A=Y",
        "CONFIG_A=1",
        "CONFIG_A=y ",
        "CONFIG_A=y=n",
    ] {
        let output = with(bad);
        assert_eq!(output.status.code(), Some(2), "{bad}");
        let expected = "a condition is set with NAME or NAME=y, and unset with NAME=n";
        assert!(
            stderr(&output).contains(expected),
            "{bad}: {}",
            stderr(&output)
        );
        assert_eq!(output.stdout, b"");
    }
    for bad in [
        "",
        "=y",
        "=n",
        "config_a",
        "1A",
        "_A",
        "CONFIG-A",
        "CONFIG A=y",
        "É",
    ] {
        let output = with(bad);
        assert_eq!(output.status.code(), Some(2), "{bad}");
        let expected = "the name of a condition has capital letters, digits and '_'";
        assert!(
            stderr(&output).contains(expected),
            "{bad}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn an_absolute_include_is_the_same_module_as_a_relative_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let top = folder.path().display();
    fs::create_dir_all(folder.path().join("main/sub")).expect("made");
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("written");
    };
    write("main/sub/a.json", "{ 'command': 'a' }\n".to_owned());
    write("beside.json", "{ 'command': 'b' }\n".to_owned());
    write(
        "main/relative.json",
        "{ 'include': 'sub/a.json' }\n{ 'include': '../beside.json' }\n".to_owned(),
    );
    // As a string of a schema has it.
    let quoted = top.to_string().replace('\\', r"\\");
    let absolute = format!(
        "{{ 'include': '{quoted}/main/sub/a.json' }}\n{{ 'include': '{quoted}/main/sub/../../beside.json' }}\n\
         {{ 'include': 'sub/a.json' }}\n"
    );
    write("main/absolute.json", absolute);
    let expected = "sub/a.json";
    // From within the folder, from above it, and by a path that is absolute itself.
    for (from, prefix) in [
        ("main", String::new()),
        ("", "main/".to_owned()),
        ("main/sub", "../".to_owned()),
        ("", "./main/../main/".to_owned()),
        ("", format!("{top}/main/")),
    ] {
        let dump = |name: &str| {
            let text = succeeds(
                &folder.path().join(from),
                &format!("dump {prefix}{name}.json"),
            );
            text.lines()
                .filter(|line| {
                    line.starts_with("module ") || line.trim_start().starts_with("include ")
                })
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (relative, absolute) = (dump("relative"), dump("absolute"));
        let is_main =
            |line: &&String| !line.ends_with("relative.json") && !line.ends_with("absolute.json");
        let relative: Vec<_> = relative.iter().filter(is_main).collect();
        let mut absolute: Vec<_> = absolute.iter().filter(is_main).collect();
        // It is included once more at the end.
        let again = absolute
            .iter()
            .rposition(|line| line.trim() == format!("include {expected}"));
        absolute.remove(again.expect("included twice"));
        assert_eq!(absolute, relative, "from '{from}' as '{prefix}'");
        assert!(
            relative
                .iter()
                .any(|line| **line == format!("module {expected}"))
        );
    }
    let path = folder.path().join("main/absolute.json");
    let checked = load(
        path.to_str().expect("UTF-8"),
        &FileLoader,
        LintLevels::default(),
    );
    let names = module_names(&checked.schema.expect("no mistakes"));
    assert_eq!(
        names,
        ["./builtin", "absolute.json", "sub/a.json", "../beside.json"]
    );
}

#[test]
fn the_program_has_pages_and_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    succeeds(folder.path(), "man --out-dir man");
    for name in ["qapi-gen", "qapi-gen-check"] {
        let page = fs::read_to_string(folder.path().join(format!("man/{name}.1"))).expect("a page");
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(folder.path(), &format!("completions {shell}"));
        assert!(script.contains("--help"), "{shell}: {script}");
    }
}
