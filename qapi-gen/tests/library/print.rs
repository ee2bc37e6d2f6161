//! What is printed parses to the same schema again.

use std::path::{Path, PathBuf};

use qapi_gen::backend::dump::dump;
use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::internals::print;
use qapi_gen::loader::{FileLoader, MemoryLoader};
use tests::{QEMU_SCHEMAS, Tool, qemu_schema};

use crate::load;

/// Prints the schema at `path`, reads that and compares both as dumps; then prints it once more.
fn check_round_trip(path: &Path) {
    let name = path.to_string_lossy();
    let checked = load(&name, &FileLoader, LintLevels::allow_all());
    let schema = checked
        .schema
        .as_ref()
        .unwrap_or_else(|| panic!("{name} has a mistake"));
    let printed = print(schema);
    let mut loader = MemoryLoader::new();
    for file in printed.files() {
        loader = loader.with(&file.path, file.contents.as_str());
    }
    let main = printed.files()[0].path.to_string_lossy();
    let again = load(&main, &loader, LintLevels::allow_all());
    let messages: String = again
        .report
        .diagnostics()
        .iter()
        .map(|diagnostic| render_short(diagnostic, &again.sources))
        .collect();
    let second = again
        .schema
        .as_ref()
        .unwrap_or_else(|| panic!("{name}:\n{messages}"));
    similar(&name, &dump(schema), &dump(second));
    let printed_again = print(second);
    for file in printed.files() {
        let text = printed_again.get(&file.path).unwrap_or_default();
        similar(&name, &file.contents, text);
    }
}

/// Compares texts that may be long: shows the first line that differs.
fn similar(name: &str, left: &str, right: &str) {
    for (number, (left, right)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(left, right, "{name}, line {}", number + 1);
    }
    assert_eq!(left.lines().count(), right.lines().count(), "{name}");
}

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_good_case_survives() {
    let entries = std::fs::read_dir(crate_path("tests/corpus/good")).expect("the corpus is there");
    let mut n = 0;
    for entry in entries {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            check_round_trip(&path);
            n += 1;
        }
    }
    assert!(n > 100, "only {n} cases");
}

#[test]
fn our_schema_survives() {
    check_round_trip(&crate_path("../schema/qapi-schema.json"));
}

#[test]
fn the_reference_s_schemas_survive() {
    let Some(shared) = Tool::Shared.for_test("the reference's schemas survive") else {
        return;
    };
    for schema in QEMU_SCHEMAS {
        check_round_trip(&qemu_schema(&shared, schema));
    }
    let suite = std::fs::read_dir(shared.join("qemu/10.2.2/tests-qapi-schema")).expect("readable");
    for entry in suite {
        let path = entry.expect("readable").path();
        let is_good = std::fs::read(path.with_extension("err")).is_ok_and(|text| text.is_empty());
        if is_good
            && path
                .extension()
                .is_some_and(|extension| extension == "json")
        {
            check_round_trip(&path);
        }
    }
}
