//! What options of the commands, and calls of the library that stand for them, do to the reading of a schema.

#[cfg(not(target_family = "wasm"))]
mod command;

use std::fs;
use std::path::Path;

use qapi_gen::Builder;
use qapi_gen::check::Options;
use qapi_gen::diagnostic::{Level, Lint, LintLevels};
use qapi_gen::ir::Schema;
use qapi_gen::loader::{Loader, MemoryLoader};
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

fn old_and_plain() -> TempDir {
    let folder = tests::temporary().expect("a folder");
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

fn module_names(schema: &Schema) -> Vec<String> {
    let modules = schema.modules().iter();
    modules.map(|module| module.name().to_owned()).collect()
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
