//! What a change of a schema breaks.
//!
//! | where | expected | shows |
//! |---|---|---|
//! | the pages of `qapi-gen explain` | the page's code alone | each rule by its smallest example |
//! | `diff/NAME.old.json`, `diff/NAME.new.json` | `diff/NAME.clients`, `diff/NAME.servers` | how changes are found and told |

use std::path::Path;

use libtest_mimic::Failed;
use qapi_gen::backend::introspect::{Options, introspect};
use qapi_gen::compile;
use qapi_gen::diagnostic::{Code, LintLevels, render_short};
use qapi_gen::diff::{Interface, Perspective, Side, compare};
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::MemoryLoader;
use tests::{Suite, golden};

use crate::files;

pub(crate) fn add(mut suite: Suite) -> Suite {
    for old in files("diff", ".old.json") {
        let name = old.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(".old.json").to_owned();
        suite = suite.always(&format!("diff::{name}"), move || check_case(&old, &name));
    }
    for (name, test) in [
        (
            "each-rule-is-shown-by-its-page",
            each_rule_is_shown_by_its_page as fn(),
        ),
        (
            "introspection-is-as-good-as-the-schema",
            introspection_is_as_good_as_the_schema,
        ),
        (
            "what-is-no-introspection-is-refused",
            what_is_no_introspection_is_refused,
        ),
        (
            "types-that-contain-themselves-end",
            types_that_contain_themselves_end,
        ),
        ("no-type-is-too-deep", no_type_is_too_deep),
        ("others-are-counted-or-named", others_are_counted_or_named),
        (
            "unmasked-introspection-is-read",
            unmasked_introspection_is_read,
        ),
    ] {
        suite = suite.always(&format!("diff::{name}"), move || {
            test();
            Ok(())
        });
    }
    suite
}

/// One change, as clients and as servers see it.
fn check_case(old: &Path, name: &str) -> Result<(), Failed> {
    let read = |age: &str| {
        let path = old.with_file_name(format!("{name}.{age}.json"));
        let text = std::fs::read_to_string(path)?;
        Ok::<_, Failed>(schema(&format!("{name}.{age}.json"), &text))
    };
    let [old_schema, new_schema] = [read("old")?, read("new")?];
    for (perspective, extension) in [
        (Perspective::Clients, "clients"),
        (Perspective::Servers, "servers"),
    ] {
        let found = changes(&old_schema, &new_schema, perspective);
        let line = |(code, text): &(Code, String)| format!("{} {text}", code.as_str());
        let actual: String = found.iter().map(line).collect();
        golden::compare(&old.with_file_name(format!("{name}.{extension}")), &actual)?;
    }
    Ok(())
}

fn schema(name: &str, text: &str) -> Schema {
    let loader = MemoryLoader::new().with(name, text);
    match compile(name, &loader, LintLevels::allow_all()) {
        Ok(compiled) => compiled.into_schema(),
        Err(rejected) => panic!("{rejected}"),
    }
}

fn changes(old: &Schema, new: &Schema, perspective: Perspective) -> Vec<(Code, String)> {
    let open = Configuration::new();
    let interfaces = [old, new].map(|schema| Interface::of_schema(schema, &open));
    let changes = compare(&interfaces[0], &interfaces[1], perspective);
    let tell = |change: qapi_gen::diff::Change| {
        let sources = match change.side {
            Side::Old => old.sources(),
            Side::New => new.sources(),
        };
        let mut text = render_short(&change.diagnostic, sources);
        if let Some(note) = change.reached.note(true) {
            text = format!("{} ({note})\n", text.trim_end());
        }
        (change.diagnostic.code, text)
    };
    changes.into_iter().map(tell).collect()
}

fn each_rule_is_shown_by_its_page() {
    let codes = Code::ALL
        .iter()
        .filter(|code| code.as_str().starts_with('D'))
        // A log shows this one: `library/compat.rs`.
        .filter(|code| **code != Code::ResultValueGone);
    let mut n_pages = 0;
    for code in codes {
        let page = code.explanation();
        let mut examples = page.split("```qapi\n").skip(1);
        let mut example = || examples.next().and_then(|rest| rest.split("```").next());
        let old = schema("old.json", example().expect("an old schema"));
        let new = schema("new.json", example().expect("a new schema"));
        let found = changes(&old, &new, Perspective::Clients);
        let codes: Vec<Code> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [*code], "{found:?}");
        assert_eq!(changes(&new, &new, Perspective::Clients), []);
        n_pages += 1;
    }
    assert!(n_pages > 10);
}

/// A server tells as much of itself as its schema, except widths and conditions.
fn introspection_is_as_good_as_the_schema() {
    let text = include_str!("../diff/union.old.json");
    let schema = schema("old.json", text);
    let open = Configuration::new();
    let array = introspect(&schema, &open, Options::default()).expect("nothing is conditional");
    let from_schema = Interface::of_schema(&schema, &open);
    for answer in [array.clone(), format!("{{\"return\": {array}, \"id\": 1}}")] {
        let from_server = Interface::of_introspection(&answer).expect("well-formed");
        for (one, other) in [(&from_schema, &from_server), (&from_server, &from_schema)] {
            for perspective in [Perspective::Clients, Perspective::Servers] {
                let changes = compare(one, other, perspective);
                assert!(changes.is_empty(), "{changes:?}");
            }
        }
    }
}

fn what_is_no_introspection_is_refused() {
    for (text, reason) in [
        (
            "{}",
            "expected the array that query-qmp-schema returns, or the reply with it",
        ),
        ("[{}]", "element 0 of the array has no valid 'meta-type'"),
        (
            r#"[{"name": "a", "meta-type": "event", "arg-type": "0"}]"#,
            "element 0 of the array uses type '0', which the array does not have",
        ),
        (
            r#"[{"name": "a", "meta-type": "enum", "values": []}, {"name": "a", "meta-type": "enum", "values": []}]"#,
            "element 1 of the array describes type 'a' again",
        ),
        (
            r#"[{"name": "0", "meta-type": "object", "members": []},
                {"name": "A", "meta-type": "event", "arg-type": "0"}, {"name": "A", "meta-type": "event", "arg-type": "0"}]"#,
            "element 2 of the array describes event 'A' again",
        ),
        (
            r#"{"error": {"class": "CommandNotFound", "desc": "The command query-qmp-schema has not been found"}}"#,
            "the server answered with an error: The command query-qmp-schema has not been found",
        ),
        (
            r#"[{"name": "a", "#,
            "not JSON: EOF while parsing a value at line 1 column 15",
        ),
    ] {
        let error = Interface::of_introspection(text).expect_err(text);
        assert_eq!(error.to_string(), reason);
    }
    assert!(Interface::of_introspection("[").is_err());
}

/// A server may say anything of itself: types that contain themselves, for one.
fn types_that_contain_themselves_end() {
    let text = r#"[
        {"name": "go", "meta-type": "command", "arg-type": "0", "ret-type": "2"},
        {"name": "0", "meta-type": "object", "members": [{"name": "tag", "type": "1"}], "tag": "tag",
         "variants": [{"case": "a", "type": "0"}]},
        {"name": "1", "meta-type": "enum", "values": ["a"]},
        {"name": "2", "meta-type": "alternate", "members": [{"type": "2"}]}]"#;
    let strange = Interface::of_introspection(text).expect("well-formed");
    let plain = schema("plain.json", "{ 'command': 'go' }\n");
    let plain = Interface::of_schema(&plain, &Configuration::new());
    for perspective in [Perspective::Clients, Perspective::Servers] {
        assert!(!compare(&strange, &plain, perspective).is_empty());
        assert!(!compare(&plain, &strange, perspective).is_empty());
        assert!(compare(&strange, &strange, perspective).is_empty());
    }
}

/// A chain of structs is followed to its end; what is told of the way to it is its end.
fn no_type_is_too_deep() {
    const DEPTH: usize = 1000;
    let chain = |last: &str| {
        let links = (1..DEPTH).map(|n| {
            let next = n + 1;
            format!("{{ 'struct': 'St{n}', 'data': {{ 'm{n}': 'St{next}' }} }}\n")
        });
        let end = format!("{{ 'struct': 'St{DEPTH}', 'data': {{ {last} }} }}\n");
        let command = "{ 'command': 'go', 'returns': 'St1' }\n".to_owned();
        let text: String = links.chain([end, command]).collect();
        schema("chain.json", &text)
    };
    let found = changes(
        &chain("'a': 'int', 'b': 'int'"),
        &chain("'b': 'int'"),
        Perspective::Clients,
    );
    let [(Code::ResultGone, text)] = &found[..] else {
        panic!("{found:?}");
    };
    let path = text.split('\'').nth(1).expect("a path");
    assert!(path.starts_with("(967 steps).m968.m969."), "{path}");
    assert!(path.ends_with(".m998.m999.a"), "{path}");
}

/// A change that many commands have is told once.
fn others_are_counted_or_named() {
    let commands = |ty: &str| {
        let commands =
            (0..12).map(|n| format!("{{ 'command': 'c{n}', 'data': {{ 'a': 'Aa' }} }}\n"));
        let events = [
            "{ 'event': 'E', 'data': { 'b': 'Bb' } }\n",
            "{ 'struct': 'Bb', 'data': { 'a': 'Aa' } }\n",
        ];
        let text: String = commands.chain(events.map(str::to_owned)).collect();
        schema(
            "many.json",
            &format!("{{ 'enum': 'Aa', 'data': [ {ty} ] }}\n{text}"),
        )
    };
    let (old, new) = (commands("'x', 'y'"), commands("'x', 'z'"));
    let open = Configuration::new();
    let [old, new] = [&old, &new].map(|schema| Interface::of_schema(schema, &open));
    let found = compare(&old, &new, Perspective::Clients);
    let notes: Vec<_> = found
        .iter()
        .map(|change| change.reached.note(false))
        .collect();
    // What commands send, and what the event brings.
    assert_eq!(notes, [Some("also in 11 more commands".to_owned()), None]);
    let all = found[0].reached.note(true).expect("others");
    assert!(all.starts_with("also in commands 'c1', 'c2', "), "{all}");
    assert_eq!(found[0].reached.other_commands().count(), 11);
    assert_eq!(found[0].reached.other_events().count(), 0);
}

/// Names of types are theirs, and each is there once; also those of all lists of integers.
fn unmasked_introspection_is_read() {
    let text = "{ 'struct': 'Ints', 'data': { 'a': [ 'int8' ], 'b': [ 'uint64' ], 'c': [ 'int' ], 'd': 'uint32', 'e': [ 'size' ], 'f': 'uint16' } }
        { 'enum': 'Unused', 'data': [ 'a' ] }
        { 'alternate': 'Alt', 'data': { 'a': 'Ints', 'b': 'int' } }
        { 'command': 'go', 'data': { 'ints': [ 'Ints' ], '*alt': 'Alt' }, 'returns': [ 'Ints' ] }
        { 'event': 'GONE', 'data': { 'unused': 'QType' } }";
    let schema = schema("ints.json", text);
    let open = Configuration::new();
    let array = introspect(&schema, &open, Options { unmask: true }).expect("no conditions");
    assert!(array.contains("\"Unused\""), "{array}");
    let from_schema = Interface::of_schema(&schema, &open);
    let from_server = Interface::of_introspection(&array).expect("unique names");
    for (one, other) in [(&from_schema, &from_server), (&from_server, &from_schema)] {
        for perspective in [Perspective::Clients, Perspective::Servers] {
            let changes = compare(one, other, perspective);
            assert!(changes.is_empty(), "{changes:?}");
        }
    }
}
