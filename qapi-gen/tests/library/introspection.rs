//! What servers tell of themselves, back into schemas.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use qapi_gen::Compiled;
use qapi_gen::backend::introspect::{Options, introspect};
use qapi_gen::backend::rust::RustBackend;
use qapi_gen::diagnostic::{Code, LintLevels, render_short};
use qapi_gen::internals::limits::MAX_DIAGNOSTICS;
use qapi_gen::introspection::Introspection;
use qapi_gen::ir::{Configuration, Schema, TypeId, TypeKind};
use qapi_gen::loader::{FileLoader, MemoryLoader};
use serde_json::{Value, json};
use tests::Tool;

use crate::load;

/// What a real server has told.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) told: Value,
    schema: OnceLock<Schema>,
}

impl Recording {
    /// `told`, compiled.
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| compile(&self.told))
    }
}

/// All recordings, read once for all tests; none if they are not on this machine.
pub(crate) fn recordings(test: &str) -> &'static [Recording] {
    static RECORDINGS: OnceLock<Vec<Recording>> = OnceLock::new();
    let Some(shared) = Tool::Shared.for_test(test) else {
        return &[];
    };
    RECORDINGS.get_or_init(|| read(&shared))
}

fn read(shared: &Path) -> Vec<Recording> {
    let mut recordings = Vec::new();
    let mut add = |name: String, told: Value| {
        recordings.push(Recording {
            name,
            told,
            schema: OnceLock::new(),
        });
    };
    for version in ["10.0.13", "11.1.3"] {
        let path = shared
            .join("qemu")
            .join(version)
            .join("query-qmp-schema.json");
        let text = std::fs::read(path).expect("a recording");
        let reply: Value = serde_json::from_slice(&text).expect("JSON");
        let array = reply.get("return").unwrap_or(&reply).clone();
        add(version.to_owned(), array);
    }
    let files = std::fs::read_dir(shared.join("recordings")).expect("recordings");
    let files: Vec<PathBuf> = files.map(|entry| entry.expect("a file").path()).collect();
    for path in files {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let text = std::fs::read_to_string(&path).expect("a recording");
        let calls = text.lines().map(|line| {
            let call: Value = serde_json::from_str(line).expect("a call a line");
            call
        });
        let mut answers = calls.filter(|call| call["c"] == "query-qmp-schema");
        let answer = answers.next().expect("an answer")["r"].clone();
        add(name.into_owned(), answer);
    }
    recordings
}

fn compile(told: &Value) -> Schema {
    let loader = MemoryLoader::new().with("told.json", told.to_string());
    match qapi_gen::compile("told.json", &loader, LintLevels::default()) {
        Ok(compiled) => compiled.into_schema(),
        Err(rejected) => panic!("{rejected}"),
    }
}

fn tell(schema: &Schema) -> Value {
    let text = introspect(schema, &Configuration::new(), Options::default());
    serde_json::from_str(&text.expect("no conditions")).expect("JSON")
}

#[test]
fn what_a_server_told_is_told_again() {
    for recording in recordings("what a server told is told again") {
        let (name, mut told) = (&recording.name, recording.told.clone());
        let mut again = tell(recording.schema());
        let elements = |value: &Value| value.as_array().expect("an array").len();
        assert!(elements(&told) > 500, "{name}");
        // Before 6.2 values had no features.
        for (told, again) in std::iter::zip(
            told.as_array_mut().expect("an array"),
            again.as_array_mut().expect("an array"),
        ) {
            if told["meta-type"] == "enum" && told.get("members").is_none() {
                again.as_object_mut().expect("an object").remove("members");
            }
            assert_eq!(told, again, "{name}");
        }
        assert_eq!(elements(&told), elements(&again), "{name}");
    }
}

/// The Rust of a whole server; `tests/generated` compiles some.
#[test]
fn recordings_become_rust() {
    for recording in recordings("recordings become Rust") {
        let (backend, name) = (RustBackend::default(), &recording.name);
        match backend.generate(recording.schema()) {
            Ok(generated) => assert!(generated.files().emission().files().len() > 2, "{name}"),
            Err(rejected) => panic!("{name}: {rejected}"),
        }
    }
}

/// The types that two servers have at the same place, by the names that they get: (old, new).
fn names_of_same_places(old: &Schema, new: &Schema) -> HashMap<String, HashSet<String>> {
    let mut open: Vec<(TypeId, TypeId)> = Vec::new();
    let mut pair = |old: Option<TypeId>, new: Option<TypeId>| open.extend(old.zip(new));
    for command in old.commands() {
        let of_name = new.commands().iter().find(|it| it.name() == command.name());
        let other = of_name.expect("nothing goes");
        pair(command.arguments(), other.arguments());
        pair(command.returns(), other.returns());
    }
    for event in old.events() {
        let of_name = new.events().iter().find(|it| it.name() == event.name());
        pair(
            event.arguments(),
            of_name.expect("nothing goes").arguments(),
        );
    }
    let mut names: HashMap<String, HashSet<String>> = HashMap::new();
    let mut seen = HashSet::new();
    while let Some((left, right)) = open.pop() {
        if !seen.insert((left, right)) {
            continue;
        }
        let (old_type, new_type) = (old.ty(left), new.ty(right));
        if old_type.is_named() {
            let new_names = names.entry(old_type.name().to_owned()).or_default();
            new_names.insert(new_type.name().to_owned());
        }
        match (old_type.kind(), new_type.kind()) {
            (TypeKind::Array(left), TypeKind::Array(right)) => open.push((*left, *right)),
            (TypeKind::Object(left_object), TypeKind::Object(right_object)) => {
                for member in old.members(left) {
                    let mut others = new.members(right);
                    let other = others.find(|it| it.name() == member.name());
                    open.push((member.type_id(), other.expect("nothing goes").type_id()));
                }
                for branch in left_object.branches() {
                    let mut others = right_object.branches().iter();
                    let other = others.find(|it| it.name() == branch.name());
                    open.push((branch.type_id(), other.expect("nothing goes").type_id()));
                }
            }
            (TypeKind::Alternate(left), TypeKind::Alternate(right)) => {
                for branch in left.branches() {
                    let mut others = right.branches().iter();
                    let other = others.find(|it| it.name() == branch.name());
                    open.push((branch.type_id(), other.expect("nothing goes").type_id()));
                }
            }
            (TypeKind::Builtin(left), TypeKind::Builtin(right)) => assert_eq!(left, right),
            (TypeKind::Enum(_), TypeKind::Enum(_)) => {}
            (left, right) => panic!("{left:?} became {right:?}"),
        }
    }
    names
}

/// A later version of a server: what is there stays; every object has more members, among them some of types that there
/// were before, enumerations have more values, and there are more commands and events.
fn grow(told: &Value) -> Value {
    let mut grown = told.as_array().expect("an array").clone();
    let is_type = |element: &Value, kind: &str| element["meta-type"] == kind;
    let of_kind = |kind: &str| {
        let mut types = told.as_array().into_iter().flatten();
        types.find(|it| is_type(it, kind)).expect("one")["name"].clone()
    };
    let old_enum = of_kind("enum");
    for (n, element) in grown.iter_mut().enumerate() {
        let is_plain = element["members"]
            .as_array()
            .is_some_and(|it| !it.is_empty());
        if is_type(element, "object") && is_plain {
            let members = element["members"].as_array_mut().expect("members");
            members.push(json!({"name": format!("new-flag-{n}"), "type": "bool", "default": null}));
            members
                .push(json!({"name": format!("new-way-{n}"), "type": "new-enum", "default": null}));
            members.push(
                json!({"name": format!("new-part-{n}"), "type": "new-object", "default": null}),
            );
        }
    }
    // Numbers say nothing: what comes first may be new.
    let new_command = json!({"name": "new-command", "meta-type": "command", "arg-type": "new-object",
        "ret-type": "new-object"});
    grown.extend([
        new_command,
        json!({"name": "NEW_EVENT", "meta-type": "event", "arg-type": "new-object"}),
        json!({"name": "new-enum", "meta-type": "enum", "values": ["a"], "members": [{"name": "a"}]}),
        json!({"name": "new-object", "meta-type": "object",
            "members": [{"name": "old", "type": old_enum}]}),
    ]);
    // Other numbers for all types.
    for element in &mut grown {
        let is_named = ["command", "event"].map(|kind| is_type(element, kind));
        renumber(element, &["arg-type", "ret-type", "element-type"]);
        if is_named == [false, false] {
            renumber(element, &["name"]);
        }
        for list in ["members", "variants"] {
            let parts = element.get_mut(list).and_then(Value::as_array_mut);
            for part in parts.into_iter().flatten() {
                renumber(part, &["type"]);
            }
        }
    }
    Value::Array(grown)
}

/// Gives types that have numbers other ones.
fn renumber(value: &mut Value, keys: &[&str]) {
    for key in keys {
        let Some(Value::String(name)) = value.get_mut(key) else {
            continue;
        };
        let number = name.trim_matches(['[', ']']);
        if let Ok(number) = number.parse::<usize>() {
            *name = name.replace(&number.to_string(), &(number + 5000).to_string());
        }
    }
}

#[test]
fn names_stay_when_a_later_server_tells_more() {
    for recording in recordings("names stay when a later server tells more") {
        let new = compile(&grow(&recording.told));
        let names = names_of_same_places(recording.schema(), &new);
        assert!(names.len() > 100, "{}: {}", recording.name, names.len());
        for (name, new_names) in names {
            let same = HashSet::from([name.clone()]);
            assert_eq!(new_names, same, "{}", recording.name);
        }
    }
}

/// Between releases types come and go, and one becomes two. Nearly all keep their names.
#[test]
fn names_stay_between_releases() {
    let recordings = recordings("names stay between releases");
    let find = |name: &str| {
        let mut found = recordings.iter().filter(|it| it.name == name);
        found.next().map(Recording::schema)
    };
    let Some((old, new)) = find("9.2.0_x86_64").zip(find("10.0.0_x86_64")) else {
        return;
    };
    let names = names_of_same_places(old, new);
    let moved = names
        .iter()
        .filter(|(name, new_names)| **new_names != HashSet::from([(*name).clone()]));
    let moved: Vec<_> = moved.collect();
    assert!(names.len() > 400, "{}", names.len());
    assert!(moved.len() < 3, "{moved:?}");
}

/// A small server, which has one of each.
fn small() -> Value {
    json!([
        {"name": "go", "meta-type": "command", "arg-type": "0", "ret-type": "[1]", "allow-oob": true},
        {"name": "take_it", "meta-type": "command", "arg-type": "2", "ret-type": "str",
         "features": ["deprecated"]},
        {"name": "device_add", "meta-type": "command", "arg-type": "7", "ret-type": "0"},
        {"name": "GONE", "meta-type": "event", "arg-type": "1"},
        {"name": "0", "meta-type": "object", "members": []},
        {"name": "[1]", "meta-type": "array", "element-type": "1"},
        {"name": "1", "meta-type": "object", "members": [
            {"name": "self", "type": "int"}, {"name": "match", "type": "3", "default": null},
            {"name": "next", "type": "1", "default": null}, {"name": "way", "type": "4"}]},
        {"name": "str", "meta-type": "builtin", "json-type": "string"},
        {"name": "2", "meta-type": "object", "members": [
            {"name": "sort", "type": "3"}, {"name": "Old_Name", "type": "bool", "features": ["unstable"]}],
         "tag": "sort", "variants": [{"case": "a", "type": "5"}, {"case": "Self", "type": "0"}]},
        {"name": "7", "meta-type": "object", "members": [{"name": "driver", "type": "str"}]},
        {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
        {"name": "int", "meta-type": "builtin", "json-type": "int"},
        {"name": "3", "meta-type": "enum", "values": ["a", "Self"], "members": [{"name": "a"},
            {"name": "Self", "features": ["deprecated"]}]},
        {"name": "4", "meta-type": "alternate", "members": [{"type": "null"}, {"type": "1"}, {"type": "[str]"}]},
        {"name": "null", "meta-type": "builtin", "json-type": "null"},
        {"name": "[str]", "meta-type": "array", "element-type": "str"},
        {"name": "5", "meta-type": "object", "features": ["dynamic"],
         "members": [{"name": "allow-list", "type": "6"}]},
        {"name": "6", "meta-type": "object", "members": []},
        {"name": "99", "meta-type": "enum", "values": ["unused"], "members": [{"name": "unused"}]}
    ])
}

#[test]
fn types_are_named_by_their_use() {
    let told = small();
    let source = Introspection::read(told.to_string()).and_then(|it| it.to_source());
    let source = source.expect("a schema");
    for definition in [
        "{ 'command': 'go',\n  'returns': [ 'GoRet' ],\n  'allow-oob': true }",
        "{ 'command': 'take_it',\n  'data': 'TakeItArg',\n  'boxed': true,\n  'returns': 'str',\n  \
         'features': [ 'deprecated' ] }",
        // QEMU tells of some of its arguments.
        "{ 'command': 'device_add',\n  'data': {\n    'driver': 'str' },\n  'gen': false }",
        "{ 'event': 'GONE',\n  'data': 'GoRet' }",
        "{ 'struct': 'TakeItArgA',\n  'data': {\n    'allow-list': 'TakeItArgAAllowListType' },\n",
        // The place that is nearer to a command; without the end it is what Rust calls the branches.
        "{ 'enum': 'TakeItArgSortKind',",
        "{ 'alternate': 'GoRetWay',\n  'data': {\n    'null': 'null',\n    'object': 'GoRet',\n    \
         'list': [ 'str' ] } }",
        "'command-returns-exceptions': [\n        'take_it' ]",
    ] {
        assert!(source.contains(definition), "{definition}\n\n{source}");
    }
    let schema = compile(&told);
    assert_eq!(tell(&schema), told);
    let backend = RustBackend::default();
    assert!(backend.generate(&schema).is_ok());
}

/// A part is told as it was, without what nothing leads to.
#[test]
fn a_part_is_told_as_it_was() {
    let schema = compile(&small()).only(&["take_it"]).expect("a command");
    let told = tell(&schema);
    let whole = small();
    let names = |value: &Value| -> Vec<String> {
        let elements = value.as_array().expect("an array").iter();
        elements.map(|it| it["name"].to_string()).collect()
    };
    let kept: Vec<_> = ["take_it", "0", "str", "2", "bool", "3", "5", "6"]
        .map(|name| format!("\"{name}\""))
        .into();
    assert_eq!(names(&told), kept);
    for element in told.as_array().expect("an array") {
        let whole = whole.as_array().expect("an array");
        assert!(whole.contains(element), "{element}");
    }
}

/// A part of the elements has what its commands use, and nothing else.
#[test]
fn a_part_of_the_elements_is_a_schema() {
    let told = Introspection::read(small().to_string()).expect("introspection");
    let part = told
        .part(&["take_it", "nothing"])
        .compile("part.json", LintLevels::default());
    let part = tell(part.expect("a schema").schema());
    let names: Vec<_> = part
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["take_it", "0", "str", "2", "bool", "3", "5", "6"]);
    for Recording { name, told, .. } in recordings("a part of the elements is a schema") {
        let told = Introspection::read(told.to_string()).expect("introspection");
        let part = told
            .part(&["blockdev-add"])
            .compile("part.json", LintLevels::default());
        let part = part.unwrap_or_else(|rejected| panic!("{name}: {rejected}"));
        assert_eq!(part.schema().commands().len(), 1);
    }
}

/// The schema that `iothreadd` serves, and those of QEMU, told and read.
#[test]
fn what_a_schema_tells_is_that_schema() {
    for path in tests::schemas("what a schema tells is that schema") {
        let path = path.to_str().expect("UTF-8");
        let schema = load(path, &FileLoader, LintLevels::allow_all()).schema;
        let schema = schema.expect("a schema without mistakes");
        let all = Configuration::with_default(true);
        for unmask in [false, true] {
            let text = introspect(&schema, &all, Options { unmask }).expect("no open conditions");
            let told: Value = serde_json::from_str(&text).expect("JSON");
            let read = compile(&told);
            assert_eq!(tell(&read), told, "{path}");
            if unmask {
                // Names that are told are kept.
                let some = schema.commands().iter().filter_map(|it| it.returns());
                let some = some.filter(|id| schema.ty(*id).is_named());
                for id in some {
                    let name = schema.ty(id).name();
                    assert!(read.entity(name).is_some(), "{path}: {name}");
                }
            }
        }
    }
}

/// The one diagnostic of what is not an introspection.
fn mistake(text: &str) -> (Code, String) {
    let loader = MemoryLoader::new().with("told.json", text);
    let checked = load("told.json", &loader, LintLevels::default());
    let [diagnostic] = checked.report.diagnostics() else {
        panic!("{text}: {:?}", checked.report.diagnostics());
    };
    let text = render_short(diagnostic, &checked.sources);
    (diagnostic.code, text.trim_end().to_owned())
}

#[test]
fn what_is_no_introspection_is_told_once() {
    let with = |extra: &str| {
        let mut text = r#"[{"name": "0", "meta-type": "object", "members": []},
            {"name": "str", "meta-type": "builtin", "json-type": "string"},
            {"name": "1", "meta-type": "enum", "values": ["a"]},
            {"name": "go", "meta-type": "command", "arg-type": "0", "ret-type": "0"},"#
            .to_owned();
        text.push_str(extra);
        text.push(']');
        text
    };
    for (text, reason) in [
        (
            r#"[{"name": "go", "meta-type": "comm"#.to_owned(),
            "not JSON: EOF while parsing a string at line 1 column 34",
        ),
        (
            r#"{"error": {"class": "GenericError", "desc": "no\u001b[31m"}}"#.to_owned(),
            r"the server answered with an error: no\u{1b}[31m",
        ),
        (
            r#"{"QMP": {}}"#.to_owned(),
            "expected the array that query-qmp-schema returns, or the reply with it",
        ),
        (
            with(r#"{"name": "x", "meta-type": "command", "arg-type": "7", "ret-type": "0"}"#),
            "element 4 of the array uses type '7', which the array does not have",
        ),
        (
            with(r#"{"name": "x", "meta-type": "command", "arg-type": "str", "ret-type": "0"}"#),
            "element 4 of the array has arguments of type 'str', which is not an object",
        ),
        (
            with(r#"{"name": "x', 'y", "meta-type": "event", "arg-type": "0"}"#),
            "element 4 of the array has the name 'x', 'y', which is not a QAPI name",
        ),
        (
            with(r#"{"name": "[2]", "meta-type": "array", "element-type": "[2]"}"#),
            "element 4 of the array is an array of arrays",
        ),
        (
            with(
                r#"{"name": "2", "meta-type": "object", "members": [{"name": "t", "type": "str"}],
                "tag": "t", "variants": []}"#,
            ),
            "element 4 of the array has the tag 't', which is not a mandatory member of enumeration type",
        ),
        (
            with(
                r#"{"name": "2", "meta-type": "object", "members": [{"name": "t", "type": "1"}],
                "tag": "t", "variants": [{"case": "b", "type": "0"}]}"#,
            ),
            "element 4 of the array has a branch 'b', which is not a value of its tag",
        ),
        (
            with(
                r#"{"name": "2", "meta-type": "object", "members": [{"name": "t", "type": "1"}],
                "tag": "t", "variants": [{"case": "a", "type": "2"}]}"#,
            ),
            "element 4 of the array is a branch of itself",
        ),
        (
            with(r#"{"name": "2", "meta-type": "alternate", "members": [{"type": "2"}]}"#),
            "element 4 of the array has a branch of type '2', which an alternate cannot have",
        ),
    ] {
        let (code, message) = mistake(&text);
        assert_eq!(message, format!("told.json: {reason}"));
        assert_eq!(code, Code::IntrospectionForm);
    }
}

/// What is cut off is not a schema, wherever it is cut: one mistake, and no panic.
#[test]
fn what_is_cut_off_is_refused() {
    let text = small().to_string();
    for end in "[{\"".len()..text.len() {
        let (code, _) = mistake(&text[..end]);
        assert_eq!(code, Code::IntrospectionForm, "{end}");
    }
}

/// Thousands of types that look alike, and a chain of them, get names that are distinct and short.
#[test]
fn many_types_that_look_alike_are_named() {
    const N: usize = 5000;
    let member = |name: &str, ty: usize| json!({"name": name, "type": ty.to_string()});
    let types = (1..N).map(|n| match n {
        _ if n < N / 2 => json!({"name": n.to_string(), "meta-type": "object",
            "members": [member("member", n + 1)]}),
        _ => json!({"name": n.to_string(), "meta-type": "object", "members": []}),
    });
    // Names that run together in Rust, and one chain.
    let alike = (N / 2 + 1..N).map(|n| {
        let name = match n % 3 {
            0 => format!("a-{n}"),
            1 => format!("a{n}"),
            _ => format!("a--{n}"),
        };
        member(&name, n)
    });
    let mut members: Vec<Value> = alike.collect();
    members.push(member("chain", 1));
    let mut told = vec![
        json!({"name": "go", "meta-type": "command", "arg-type": "0", "ret-type": "0"}),
        json!({"name": "0", "meta-type": "object", "members": members}),
    ];
    told.extend(types);
    let told = Value::Array(told);
    let schema = compile(&told);
    assert_eq!(tell(&schema), told);
    let named = schema.types().filter(|(_, ty)| ty.is_named());
    let names: Vec<String> = named
        .map(|(_, ty)| ty.name().to_ascii_lowercase())
        .collect();
    assert!(names.len() >= N - 2);
    assert!(names.iter().all(|name| name.len() <= 80));
    let distinct: HashSet<&String> = names.iter().collect();
    assert!(distinct.len() >= N - 2);
}

proptest! {
    /// Whatever a server tells, the answer is a schema that tells the same, or mistakes.
    #[test]
    fn any_telling_ends_well(replacements in prop::collection::vec((0..400usize, 0..400usize), 0..6)) {
        // Strings of the small server in other places.
        let text = small().to_string();
        let mut parts: Vec<&str> = text.split('"').collect();
        let originals = parts.clone();
        for (to, from) in replacements {
            let (to, from) = (to % (parts.len() / 2), from % (parts.len() / 2));
            parts[2 * to + 1] = originals[2 * from + 1];
        }
        let text = parts.join("\"");
        let loader = MemoryLoader::new().with("told.json", text.clone());
        match qapi_gen::compile("told.json", &loader, LintLevels::default()).map(Compiled::into_schema) {
            Ok(schema) => {
                let again = MemoryLoader::new().with("told.json", tell(&schema).to_string());
                let again = qapi_gen::compile("told.json", &again, LintLevels::default());
                prop_assert_eq!(tell(&schema), tell(again.expect("a schema").schema()));
            }
            Err(rejected) => {
                let n = rejected.report().diagnostics().len();
                prop_assert!((1..=MAX_DIAGNOSTICS).contains(&n));
                prop_assert!(!rejected.to_string().is_empty());
            }
        }
    }
}
