//! Limits: input just inside of one passes, just outside is refused at its place.

use std::fmt::Write as _;

use qapi_gen::diagnostic::{Code, LintLevels};
use qapi_gen::internals::limits::{
    MAX_BASES, MAX_DEPTH, MAX_DIAGNOSTICS, MAX_INCLUDE_DEPTH, MAX_LINE, MAX_NAME,
};
use qapi_gen::loader::MemoryLoader;

use crate::{Checked, load};

fn check(text: &str) -> Checked {
    let loader = MemoryLoader::new().with("schema.json", text);
    load("schema.json", &loader, LintLevels::default())
}

fn codes(checked: &Checked) -> Vec<Code> {
    let diagnostics = checked.report.diagnostics().iter();
    diagnostics.map(|diagnostic| diagnostic.code).collect()
}

fn nested(depth: usize) -> String {
    let (open, close) = ("{ 'not': ".repeat(depth), " }".repeat(depth));
    format!("{{ 'command': 'go', 'if': {open}'A'{close} }}\n")
}

#[test]
fn depth() {
    // The definition itself is one level.
    assert_eq!(codes(&check(&nested(MAX_DEPTH - 1))), []);
    assert_eq!(codes(&check(&nested(MAX_DEPTH))), [Code::TooDeep]);
    let hostile = format!("{}\n{{ 'command': 'Go' }}\n", "[".repeat(500_000));
    assert_eq!(codes(&check(&hostile)), [Code::TooDeep, Code::NameStyle]);
}

#[test]
fn line_length() {
    let line = |len: usize| format!("#{}\n{{ 'command': 'go' }}\n", "x".repeat(len - 1));
    assert_eq!(codes(&check(&line(MAX_LINE))), []);
    assert_eq!(codes(&check(&line(MAX_LINE + 1))), [Code::LineTooLong]);
}

#[test]
fn include_depth() {
    let chain = |len: usize| {
        let mut loader = MemoryLoader::new().with("0.json", "{ 'include': '1.json' }\n");
        for n in 1..len {
            let text = format!("{{ 'include': '{}.json' }}\n", n + 1);
            loader = loader.with(format!("{n}.json"), text);
        }
        let loader = loader.with(format!("{len}.json"), "{ 'command': 'go' }\n");
        codes(&load("0.json", &loader, LintLevels::default()))
    };
    assert_eq!(chain(MAX_INCLUDE_DEPTH), []);
    assert_eq!(chain(MAX_INCLUDE_DEPTH + 1), [Code::IncludeTooDeep]);
}

#[test]
fn missing_main_file() {
    let checked = load("none.json", &MemoryLoader::new(), LintLevels::default());
    assert_eq!(codes(&checked), [Code::SchemaUnreadable]);
    assert_eq!(checked.report.diagnostics()[0].primary, None);
}

#[test]
fn number_of_diagnostics() {
    let mut text = String::new();
    for n in 0..MAX_DIAGNOSTICS + 10 {
        let _ = writeln!(text, "{{ 'command': 'Go{n}' }}");
    }
    let checked = check(&text);
    assert_eq!(checked.report.diagnostics().len(), MAX_DIAGNOSTICS);
    assert_eq!(checked.report.n_suppressed(), 10);
    assert_eq!(checked.report.n_errors(), MAX_DIAGNOSTICS + 10);
}

#[test]
fn many_definitions_of_one_name_and_long_lists() {
    let mut text = String::from("{ 'enum': 'Many', 'data': [ 'v'");
    for n in 0..20_000 {
        let _ = write!(text, ",\n 'v{n}'");
    }
    text.push_str(" ] }\n{ 'struct': 'Wide', 'data': { 'a': 'int'");
    for n in 0..20_000 {
        let _ = write!(text, ",\n 'a{n}': 'Many'");
    }
    text.push_str(" } }\n");
    assert_eq!(codes(&check(&text)), []);
}

/// The shape `name` of size `n`.
fn shape(name: &str, n: usize) -> Checked {
    let shape = shapes::all().find(|shape| shape.name == name);
    let files = shape.expect("a shape of this name").files(n).0;
    let loader = files
        .into_iter()
        .fold(MemoryLoader::new(), |loader, (name, text)| {
            loader.with(name, text)
        });
    load(shapes::MAIN, &loader, LintLevels::default())
}

#[test]
fn bases() {
    // The first one has no base.
    for name in ["bases", "bases-backwards"] {
        assert_eq!(codes(&shape(name, MAX_BASES + 1)), []);
        assert_eq!(codes(&shape(name, MAX_BASES + 2)), [Code::BasesTooDeep]);
        assert_eq!(codes(&shape(name, 8000)), [Code::BasesTooDeep]);
    }
}

#[test]
fn unions_in_each_other_to_any_depth() {
    for name in ["branches", "branches-backwards", "tower"] {
        assert_eq!(codes(&shape(name, 6000)), []);
    }
}

#[test]
fn repeated_members() {
    // 316 structs with 316 members of their base are below 100,000, and 400 are far beyond what
    // the members that are listed add to that.
    for name in ["base-of-many", "tag-of-many"] {
        assert_eq!(codes(&shape(name, 316)), []);
        assert_eq!(codes(&shape(name, 400)), [Code::TooMuchRepeated]);
        assert_eq!(codes(&shape(name, 1000)), [Code::TooMuchRepeated]);
    }
}

#[test]
fn common_names_in_branches() {
    assert_eq!(codes(&shape("entangled", 300)), []);
    assert_eq!(
        codes(&shape("entangled", 1500)),
        [Code::BranchesTooEntangled]
    );
}

#[test]
fn length_of_names() {
    let of = |len: usize| {
        let name = "a".repeat(len);
        codes(&check(&format!(
            "{{ 'command': '{name}', 'data': {{ '{name}': 'int' }} }}\n"
        )))
    };
    assert_eq!(of(MAX_NAME), []);
    assert_eq!(of(MAX_NAME + 1), [Code::NameTooLong]);
}

/// Files that took hours, beside the project.
#[test]
fn cases() {
    let folder = tests::workspace().join("../shared/cases/schema");
    for name in ["tower30.json", "cubic200.json", "datafan2000.json"] {
        match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => assert_eq!(codes(&check(&text)), [], "{name}"),
            Err(_) => println!("skipped: there is no {name}"),
        }
    }
}
