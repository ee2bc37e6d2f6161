//! Generated Rust: what is refused, what options change, which files are written.

use std::fs;
use std::path::Path;

use qapi_gen::Builder;
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::ir::Configuration;
use qapi_gen::loader::MemoryLoader;
use qapi_gen::output::Emission;

/// The files of a schema, or the texts of what is wrong with it.
fn generate_text(schema: &str, options: Options) -> Result<Emission, String> {
    let loader = MemoryLoader::new().with("schema.json", schema);
    let compiled = compile("schema.json", &loader, LintLevels::allow_all());
    let schema = compiled.map_err(|it| it.to_string())?.into_schema();
    let backend = RustBackend::new(options);
    let generated = backend.generate(&schema);
    Ok(generated.map_err(|it| it.to_string())?.files().emission())
}

/// `n` structs that inherit from one of `n` members, each with documentation of `n_lines` lines.
fn heirs(n: usize, name: &str, n_lines: usize) -> String {
    let mut text = String::new();
    if n_lines > 0 {
        text.push_str("##\n# @Base:\n#\n");
        for n in 0..n {
            text.push_str(&format!("# @{name}{n}: "));
            text.push_str(&"some words and more words\n#     ".repeat(n_lines));
            text.push_str("end\n#\n");
        }
        text.push_str("##\n");
    }
    let members: Vec<String> = (0..n).map(|n| format!("'{name}{n}': 'int'")).collect();
    let members = members.join(", ");
    text.push_str(&format!(
        "{{ 'struct': 'Base', 'data': {{ {members} }} }}\n"
    ));
    for n in 0..n {
        text.push_str(&format!(
            "{{ 'struct': 'Sub{n}', 'base': 'Base', 'data': {{}} }}\n"
        ));
    }
    text
}

/// Unions by one discriminator of `n` values, of which they list one branch.
fn unions(n: usize, value: &str) -> String {
    let values: Vec<String> = (0..n).map(|n| format!("'{value}{n}'")).collect();
    let mut text = format!(
        "{{ 'enum': 'Kind', 'data': [{}] }}\n{{ 'struct': 'Empty', 'data': {{}} }}\n",
        values.join(", ")
    );
    for n in 0..n {
        text.push_str(&format!(
            "{{ 'union': 'Uni{n}', 'base': {{ 'kind': 'Kind' }}, 'discriminator': 'kind', 'data': {{ '{value}0': 'Empty' }} }}\n"
        ));
    }
    text
}

/// What Rust repeats is a few megabytes more than the schema, or one diagnostic: long names, long texts, many of them.
#[test]
fn repetition_is_bounded() {
    let long = "m".repeat(900);
    for (what, schema, is_refused) in [
        ("a few members", heirs(60, "m", 0), false),
        ("members", heirs(250, "m", 0), true),
        ("long names", heirs(40, &long, 0), true),
        ("long texts", heirs(40, "m", 200), true),
        ("a few branches", unions(60, "v"), false),
        ("branches", unions(250, "v"), true),
        ("long values", unions(50, &long), true),
    ] {
        let made = generate_text(&schema, Options::new());
        match made {
            Ok(emission) => {
                assert!(!is_refused, "{what}");
                let size: usize = emission
                    .files()
                    .iter()
                    .map(|file| file.contents.len())
                    .sum();
                assert!(size < 10 << 20, "{what}: {size} bytes");
            }
            Err(text) => {
                assert!(is_refused, "{what}: {text}");
                assert_eq!(text.matches("types repeat more than").count(), 1, "{text}");
                let n_places = text
                    .lines()
                    .filter(|line| line.starts_with("schema.json:"))
                    .count();
                assert!(n_places > 0, "{text}");
            }
        }
    }
    // What is left out of the code is not counted.
    let schema = heirs(40, "m", 200);
    assert!(generate_text(&schema, Options::new().docs(false)).is_ok());
    let conditional = heirs(250, "m", 0).replace("'data': {} }", "'data': {}, 'if': 'CONFIG_A' }");
    let mut configuration = Configuration::new();
    configuration.set("CONFIG_A", false);
    assert!(generate_text(&conditional, Options::new().configuration(configuration)).is_ok());
    assert!(generate_text(&conditional, Options::new()).is_err());
}

#[test]
fn one_rust_name_for_two_is_an_error() {
    let schema = "{ 'pragma': { 'member-name-exceptions': [ 'Foo' ] } }\n\
                  { 'struct': 'Foo', 'data': { 'aB': 'int', 'a-b': 'int' } }\n";
    let error = generate_text(schema, Options::new()).expect_err("two members are one field");
    assert!(
        error.contains("member 'a-b' and member 'aB' both become 'a_b' in Rust"),
        "{error}"
    );
}

/// Each mistake with the places that its message names, and nothing is made.
#[test]
fn collisions_are_errors_with_both_places() {
    let exceptions = "{ 'pragma': { 'member-name-exceptions': [ 'Foo' ],\n\
                      'command-name-exceptions': [ 'a_b' ] } }\n";
    for (schema, message, places) in [
        (
            "{ 'struct': 'FooBar', 'data': {} }\n{ 'struct': 'FOOBar', 'data': {} }\n",
            "type 'FOOBar' and type 'FooBar' both become 'FooBar' in Rust",
            [":3:13", ":4:13"],
        ),
        (
            "{ 'command': 'a-b' }\n{ 'command': 'a_b' }\n",
            "command 'a_b' and command 'a-b' both become 'AB' in Rust",
            [":3:14", ":4:14"],
        ),
        (
            "{ 'event': 'A_B' }\n{ 'event': 'A__B' }\n",
            "event 'A__B' and event 'A_B' both become 'AB' in Rust",
            [":3:12", ":4:12"],
        ),
        (
            "{ 'enum': 'Foo', 'data': [ 'aB',\n 'a-b' ] }\n",
            "value 'a-b' and value 'aB' both become 'AB' in Rust",
            [":3:28", ":4:2"],
        ),
        (
            "{ 'struct': 'Foo', 'data': { 'aB': 'int',\n 'a-b': 'int' } }\n",
            "member 'a-b' and member 'aB' both become 'a_b' in Rust",
            [":3:30", ":4:2"],
        ),
        (
            "{ 'event': 'A', 'if': 'CONFIG_A' }\n{ 'event': 'B', 'if': 'CONFIG_A_' }\n",
            "condition 'CONFIG_A_' and condition 'CONFIG_A' both become the feature 'config-a'",
            [":3:12", ":4:12"],
        ),
    ] {
        let schema = format!("{exceptions}{schema}");
        let folder = tests::temporary().expect("a folder");
        let path = folder.path().join("schema.json");
        fs::write(&path, schema).expect("written");
        let out_dir = folder.path().join("out");
        let builder = Builder::new().schema(&path).out_dir(&out_dir);
        let error = builder.generate().expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
        for place in places {
            let place = format!("schema.json{place}: ");
            assert!(error.contains(&place), "{place}: {error}");
        }
        assert!(!out_dir.exists());
    }
}

#[test]
fn options_must_name_something() {
    let schema = "{ 'struct': 'Foo', 'data': {} }\n";
    let options = Options::new().replace("Bar", "u8").expect("a type");
    let error = generate_text(schema, options).expect_err("there is no Bar");
    assert!(error.contains("option 'replace' names 'Bar'"), "{error}");
}

const TOLERANT: &str = "
{ 'enum': 'Kind', 'data': [ 'left' ] }
{ 'struct': 'Base', 'data': { 'inherited': 'int' } }
{ 'struct': 'Result', 'base': 'Base', 'data': { 'own': 'int', 'inner': [ 'Inner' ] } }
{ 'struct': 'Inner', 'data': { 'deep': 'int' } }
{ 'union': 'Union', 'base': { 'kind': 'Kind', 'common': 'int' }, 'discriminator': 'kind', 'data': { 'left': 'Branch' } }
{ 'struct': 'Branch', 'data': { 'further': 'int' } }
{ 'struct': 'Request', 'data': { 'asked': 'int' } }
{ 'struct': 'Hidden', 'data': { 'none': 'int' } }
{ 'struct': 'EventData', 'data': { 'happened': 'int' } }
{ 'command': 'query', 'data': { 'placed': 'int', 'request': 'Request' }, 'returns': 'Result' }
{ 'command': 'query-union', 'returns': [ 'Union' ] }
{ 'command': 'hidden', 'returns': 'Hidden', 'if': 'CONFIG_A' }
{ 'event': 'INLINE', 'data': { 'emitted': 'int', 'sent': 'int' } }
{ 'event': 'NAMED', 'data': 'EventData' }
";

/// What is tolerated is of the types that are named, or all that a client receives.
#[test]
fn members_may_be_absent_where_it_is_said() {
    let members = [
        "inherited",
        "own",
        "inner",
        "deep",
        "common",
        "further",
        "asked",
        "none",
        "happened",
        "placed",
        "request",
        "emitted",
        "sent",
    ];
    for (names, tolerated) in [
        (&[][..], &[][..]),
        (&["Result"], &["inherited", "own", "inner"]),
        (&["Result.inherited"], &["inherited"]),
        (&["Inner", "Result.own"], &["own", "deep"]),
        (&["Union"], &["common"]),
        (&["Branch.further"], &["further"]),
        (&["INLINE"], &["emitted", "sent"]),
        (&["INLINE.sent"], &["sent"]),
        (&["EventData"], &["happened"]),
        (
            &["*"],
            &[
                "inherited",
                "own",
                "inner",
                "deep",
                "common",
                "further",
                "happened",
                "emitted",
                "sent",
            ],
        ),
    ] {
        let mut configuration = Configuration::new();
        configuration.set("CONFIG_A", false);
        let options = Options::new().configuration(configuration);
        let options = names
            .iter()
            .fold(options, |options, name| options.tolerate(*name));
        let made = generate_text(TOLERANT, options).expect("well-formed");
        let text: String = made
            .files()
            .iter()
            .map(|file| file.contents.as_str())
            .collect();
        for member in members {
            // `Base`, which has a copy of what `Result` inherits, is not a result itself.
            let is_option = text.contains(&format!("pub {member}: Option<"));
            assert_eq!(
                is_option,
                tolerated.contains(&member),
                "{member} with {names:?}"
            );
            let is_tolerant = text.contains(&format!("tolerant!(object, \"{member}\")"));
            assert_eq!(is_tolerant, is_option, "{member} with {names:?}");
        }
        let has_tag = text.contains("tolerant_tag!(object, \"kind\")");
        assert_eq!(
            has_tag,
            names.contains(&"*") || names.contains(&"Union"),
            "{names:?}"
        );
    }
}

/// The builder's names and those of its options count, in whatever order they come.
#[test]
fn a_build_script_says_what_may_be_absent() {
    let folder = tests::temporary().expect("a folder");
    let schema = folder.path().join("schema.json");
    fs::write(&schema, TOLERANT).expect("written");
    let out = folder.path().join("out");
    Builder::new()
        .schema(&schema)
        .out_dir(&out)
        .tolerate("Result.own")
        .options(Options::new().tolerate("Inner"))
        .generate()
        .expect("well-formed");
    let text = fs::read_to_string(out.join("types/schema.rs")).expect("types");
    for (member, is_option) in [("own", true), ("deep", true), ("further", false)] {
        assert_eq!(
            text.contains(&format!("pub {member}: Option<")),
            is_option,
            "{member}"
        );
    }
}

#[test]
fn what_may_be_absent_has_to_be_there() {
    let lacks = "which the schema does not have";
    let is_sent = "which is part of no result and no event";
    for (name, reason) in [
        ("Nothing", lacks),
        ("Result.nothing", lacks),
        ("Request", is_sent),
        ("Request.asked", is_sent),
        ("Base", is_sent),
        ("query.placed", is_sent),
    ] {
        let error = generate_text(TOLERANT, Options::new().tolerate(name)).expect_err(name);
        let expected = format!("option 'tolerate' names '{name}', {reason}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn replaced_types_are_not_generated() {
    let schema = "{ 'struct': 'Foo', 'data': { 'uuid': 'Uuid' } }\n\
                  { 'struct': 'Uuid', 'data': {} }\n";
    let options = Options::new()
        .replace("Uuid", "crate::Uuid")
        .expect("a type");
    let emission = generate_text(schema, options).expect("valid");
    let types = emission.get(Path::new("types/schema.rs")).expect("there");
    assert!(types.contains("pub uuid: crate::Uuid,"), "{types}");
    assert!(!types.contains("struct Uuid"), "{types}");
}

#[test]
fn same_input_same_bytes() {
    let schema = "{ 'enum': 'En', 'data': [ 'a', { 'name': 'b', 'if': 'CONFIG_B' } ] }\n\
                  { 'command': 'c', 'data': { 'e': 'En' } }\n";
    let first = generate_text(schema, Options::new()).expect("valid");
    let second = generate_text(schema, Options::new()).expect("valid");
    assert_eq!(first, second);
}

#[test]
fn output_writes_only_what_changed_and_removes_its_own() {
    let folder = tests::temporary().expect("a folder");
    let emission = |schema| generate_text(schema, Options::new()).expect("valid");
    let one = emission("{ 'command': 'c' }\n{ 'struct': 'St', 'data': {} }\n");
    let two = emission("{ 'command': 'c' }\n");
    let first = one.write(folder.path()).expect("written");
    assert_eq!(first.changed.len(), one.files().len());
    let again = one.write(folder.path()).expect("written");
    assert!(again.is_current());
    let foreign = folder.path().join("mine.rs");
    fs::write(&foreign, "//! By hand.\n").expect("written");
    let stale = two.check(folder.path()).expect("compared").stale;
    assert_eq!(stale, [folder.path().join("types/schema.rs")]);
    two.write(folder.path()).expect("written");
    assert!(foreign.exists());
    assert!(!folder.path().join("types/schema.rs").exists());
}

#[test]
fn output_touches_nothing_of_others() {
    let folder = tests::temporary().expect("a folder");
    let emission = |schema| generate_text(schema, Options::new()).expect("valid");
    let one = emission("{ 'command': 'c' }\n");
    let foreign = [
        // Of other generators, also of this one beside or below.
        ("tables.rs", "// Generated by my-tool\n"),
        (
            "types/proto.rs",
            "// Generated by a compiler. DO NOT EDIT!\n",
        ),
        (
            "block/mod.rs",
            "// Generated by `qapi-gen generate`; do not edit.\n",
        ),
        (
            "index.html",
            "<!DOCTYPE html>\n<!-- Generated by qapi-gen doc; do not edit. -->\n",
        ),
    ];
    for (name, text) in foreign {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    one.write(folder.path()).expect("written");
    for (name, text) in foreign {
        assert_eq!(
            fs::read_to_string(folder.path().join(name)).expect("there"),
            text
        );
    }
    // In the place of one of ours: nothing is written at all.
    let root = folder.path().join("mod.rs");
    fs::write(&root, "//! By hand.\n").expect("written");
    let two = emission("{ 'command': 'c' }\n{ 'command': 'd' }\n");
    let error = two.write(folder.path()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write '{}': it is there already and not generated",
            root.display()
        )
    );
    let commands = fs::read_to_string(folder.path().join("commands/schema.rs"));
    assert!(!commands.expect("there").contains("struct D"));
}

#[test]
fn derives_are_merged() {
    let options = Options::new()
        .attributes("*", "#[derive(Eq)]")
        .and_then(|options| options.attributes("Foo", "#[derive(Eq, Hash,)]"))
        .expect("attributes");
    let emission = generate_text("{ 'struct': 'Foo', 'data': {} }\n", options).expect("valid");
    let types = emission.get(Path::new("types/schema.rs")).expect("there");
    assert!(
        types.contains("#[derive(Debug, Clone, PartialEq, Default, Eq, Hash)]\n"),
        "{types}"
    );
    assert_eq!(types.matches("derive").count(), 1, "{types}");
}

/// Names that the prelude has are changed, and links follow them.
#[test]
fn docs_link_to_the_names_there_are() {
    let schema = "##\n# @Foo:\n#\n# See @ok and @NONE.\n##\n{ 'struct': 'Foo', 'data': {} }\n\
                  ##\n# @ok:\n##\n{ 'command': 'ok' }\n\
                  ##\n# @NONE:\n##\n{ 'event': 'NONE' }\n";
    let emission = generate_text(schema, Options::new()).expect("valid");
    let types = emission.get(Path::new("types/schema.rs")).expect("there");
    assert!(types.contains("commands::Ok_)"), "{types}");
    assert!(types.contains("events::None_)"), "{types}");
}
