//! What options of the commands, and calls of the library that stand for them, do to the reading of a schema.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use qapi_gen::Builder;
use qapi_gen::check::Options;
use qapi_gen::diagnostic::{Level, Lint, LintLevels};
use qapi_gen::ir::Schema;
use qapi_gen::loader::{FileLoader, Loader, MemoryLoader};
use tempfile::TempDir;

use crate::load;

/// Comments that today's rules refuse, each for a reason of its own, in front of definitions that are good.
const OLD_COMMENTS: &str = "\
{ 'pragma': { 'doc-required': true, 'documentation-exceptions': [ 'Nobody' ] } }
##
# = Trains
#
# == That go
# @unexpected: a member
##
##
# @go
#
# @to: where to.  A line that is longer than the seventy characters that it may have. One space.
# @to: once more
# @nowhere: is not there
#
# Returns: nothing
#
# Note: That is
#   indented
#  as it likes.
#
# Example:
#
# -> { \"execute\": \"go\" }
#
# Since: 1.0
# Since: 2.0
##
{ 'command': 'go', 'data': { 'to': 'str', ## not documentation
                             '*fast': 'bool' } }
#No space.
{ 'event': 'GONE' }
## Junk
# @Speed:
##Junk

##
# That does not end
{ 'enum': 'Speed', 'data': [ 'slow' ] }
{ 'command': 'set-speed', 'data': { 'speed': 'Speed' } }
##
# @nothing:
#
# is defined here.
##
";

/// The same definitions without any comment.
const NO_COMMENTS: &str = "\
{ 'command': 'go', 'data': { 'to': 'str', '*fast': 'bool' } }
{ 'event': 'GONE' }
{ 'enum': 'Speed', 'data': [ 'slow' ] }
{ 'command': 'set-speed', 'data': { 'speed': 'Speed' } }
";

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

fn old_and_plain() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("old", OLD_COMMENTS), ("plain", NO_COMMENTS)] {
        fs::create_dir(folder.path().join(name)).expect("made");
        fs::write(folder.path().join(name).join("schema.json"), text).expect("written");
    }
    fs::write(
        folder.path().join("commands"),
        "{\"execute\":\"go\",\"arguments\":{\"to\":\"x\"}}\n{\"execute\":\"go\"}\n",
    )
    .expect("written");
    folder
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
fn other_mistakes_are_told_where_documentation_is_ignored() {
    let text = "##\n# bad\n{ 'command': 'go', 'data': 'Nothing' }\n## x\n{ 'x': 'y' }\n";
    let loader = MemoryLoader::new().with("schema.json", text);
    let options = Options::new(LintLevels::default()).no_doc_check();
    let checked = load("schema.json", &loader, options);
    let codes = checked.report.diagnostics().iter();
    let codes: Vec<_> = codes.map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["Q0401", "Q0502"]);
    assert!(checked.schema.is_none());
}

#[test]
fn no_lint_looks_at_documentation_that_is_ignored() {
    let loader = MemoryLoader::new().with("schema.json", OLD_COMMENTS);
    let mut levels = LintLevels::default();
    for lint in Lint::ALL {
        levels.set(*lint, Level::Deny);
    }
    let checked = load("schema.json", &loader, Options::new(levels).no_doc_check());
    assert!(checked.report.diagnostics().is_empty());
    let schema = checked.schema.expect("no mistakes");
    assert_eq!(schema.docs().len(), 0);
    assert!(!schema.pragmas().requires_docs());
}

#[test]
fn a_build_script_can_ignore_documentation() {
    let folder = old_and_plain();
    let builder = Builder::new()
        .schema(folder.path().join("old/schema.json"))
        .out_dir(folder.path().join("out"));
    builder.clone().generate().expect_err("comments of today");
    assert!(!folder.path().join("out").exists());
    builder.no_doc_check().generate().expect("no comments");
    assert!(folder.path().join("out/mod.rs").exists());
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

fn module_names(schema: &Schema) -> Vec<String> {
    let modules = schema.modules().iter();
    modules.map(|module| module.name().to_owned()).collect()
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
    let absolute = format!(
        "{{ 'include': '{top}/main/sub/a.json' }}\n{{ 'include': '{top}/main/sub/../../beside.json' }}\n\
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

/// A loader says itself where a relative path leads.
struct At(&'static str, MemoryLoader);

impl Loader for At {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.1.read(&self.identity(path))
    }

    fn identity(&self, path: &Path) -> std::path::PathBuf {
        self.1.identity(&Path::new(self.0).join(path))
    }
}

#[test]
fn the_loader_knows_where_relative_paths_lead() {
    let files = MemoryLoader::new()
        .with(
            "/schemas/main.json",
            "{ 'include': '/schemas/sub/a.json' }\n",
        )
        .with("/schemas/sub/a.json", "{ 'command': 'a' }\n");
    let checked = load("main.json", &At("/schemas", files), LintLevels::default());
    let names = module_names(&checked.schema.expect("no mistakes"));
    assert_eq!(names, ["./builtin", "main.json", "sub/a.json"]);
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
