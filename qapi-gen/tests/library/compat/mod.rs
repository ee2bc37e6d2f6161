//! With which versions a program works.

mod checker;
#[cfg(unix)]
mod command;
mod sample;
mod versions;

use qapi_gen::diagnostic::{Code, LintLevels, render_short};
use qapi_gen::diff::Interface;
use qapi_gen::internals::compat::{Answer, Verdict, judge};
use qapi_gen::introspection::Introspection;
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::MemoryLoader;

fn schema(text: &str) -> Schema {
    let loader = MemoryLoader::new().with("v.json", text);
    match qapi_gen::compile("v.json", &loader, LintLevels::allow_all()) {
        Ok(compiled) => compiled.into_schema(),
        Err(rejected) => panic!("{rejected}"),
    }
}

/// The answer for one version, and what it says.
fn answer(schema: &Schema, usage: &str) -> (Answer, Vec<String>) {
    let interface = Interface::of_schema(schema, &Configuration::new());
    let mut answers = judge(usage, &[&interface], None).unwrap_or_else(|error| panic!("{error}"));
    let answer = answers.pop().expect("an answer");
    let tell = |change: &qapi_gen::diff::Change| {
        let line = change.line.expect("a line");
        let text = render_short(&change.diagnostic, schema.sources());
        let code = change.diagnostic.code.as_str();
        format!("{line}: {code} {}", text.trim_end())
    };
    let told = answer.changes.iter().map(tell).collect();
    (answer, told)
}

/// A log of these messages, which have `sent` or `received` before them.
fn log(messages: &[&str]) -> String {
    let mut log = "{\"qmp-session-log\": 1}\n".to_owned();
    for message in messages {
        let (what, message) = message.split_once(' ').expect("what");
        log.push_str(&format!(
            "{{\"connection\": 1, \"at\": 1, \"{what}\": {message}}}\n"
        ));
    }
    log
}

const SCHEMA: &str = "
    { 'enum': 'Kind', 'data': [ 'file', 'net', { 'name': 'tape', 'features': [ 'deprecated' ] } ] }
    { 'struct': 'File', 'data': { 'path': 'str', '*deep': 'Ref' } }
    { 'struct': 'Net', 'data': { 'port': 'uint16', '*mode': { 'type': 'str', 'features': [ 'unstable' ] } } }
    { 'union': 'Node', 'base': { 'kind': 'Kind', '*id': 'str' }, 'discriminator': 'kind',
      'data': { 'file': 'File', 'net': 'Net' } }
    { 'alternate': 'Ref', 'data': { 'name': 'str', 'node': 'Node' } }
    { 'command': 'add', 'data': { 'node': 'Node', '*tags': [ 'str' ] } }
    { 'struct': 'Info', 'data': { 'size': 'int', '*name': 'str', 'kinds': [ 'Kind' ] } }
    { 'command': 'query', 'returns': [ 'Info' ] }
    { 'command': 'leave', 'success-response': false }
    { 'command': 'open', 'data': { 'driver': 'str' }, 'gen': false }
    { 'command': 'maybe', 'if': 'MAYBE' }
    { 'event': 'CHANGED', 'data': { '*what': 'Kind' } }
";

#[test]
fn each_rule_is_told_with_line_and_way() {
    let schema = schema(SCHEMA);
    let sent = |arguments: &str| {
        let sent = format!("sent {{\"execute\": \"add\", \"arguments\": {arguments}}}");
        log(&[&sent, "received {\"return\": {}}"])
    };
    let replied = |value: &str| {
        let reply = format!("received {{\"return\": {value}}}");
        log(&["sent {\"execute\": \"query\"}", &reply])
    };
    for (usage, expected) in [
        (sent(r#"{"node": {"kind": "file", "path": "p", "deep": "n", "id": "i"}, "tags": []}"#), ""),
        (sent(r#"{"node": {"kind": "file", "path": "p", "deep": {"kind": "net", "port": 70000}}}"#),
            "2: D0206 v.json:4:34: argument 'node.deep.port' of command 'add' with node.kind 'file' with node.deep.kind 'net' takes integers from 0 to 65535 only"),
        (sent(r#"{"node": {"kind": "file", "path": "p", "deep": 3}}"#),
            "2: D0205 v.json:3:50: argument 'node.deep' of command 'add' with node.kind 'file' does not take an integer, only a string or an object"),
        (sent(r#"{"node": {"kind": "file", "port": 1}}"#),
            "2: D0201 v.json:8:35: argument 'node.port' of command 'add' with node.kind 'file' does not exist
2: D0202 v.json:3:35: argument 'node.path' of command 'add' with node.kind 'file' is mandatory, and was not sent"),
        (sent(r#"{"node": {"kind": "disk", "sectors": 1}}"#),
            "2: D0204 v.json:5:34: value 'disk' of argument 'node.kind' of command 'add' does not exist"),
        (sent(r#"{"node": {"kind": "tape"}, "tags": [true]}"#),
            "2: D0205 v.json:8:51: argument 'tags[]' of command 'add' does not take a boolean, only a string
2: D0401 v.json:2:58: value 'tape' of argument 'node.kind' of command 'add' is deprecated"),
        (sent(r#"{"node": {"kind": "net", "port": 1, "mode": "m"}}"#),
            "2: D0402 v.json:4:52: argument 'node.mode' of command 'add' with node.kind 'net' is unstable"),
        (sent(r#"{"node": null}"#), "2: D0205 v.json:8:35: argument 'node' of command 'add' does not take null, only an object"),
        (log(&["sent {\"execute\": \"gone\"}"]), "2: D0101 command 'gone' does not exist"),
        (log(&["sent {\"exec-oob\": \"query\"}"]), "2: D0103 v.json:10:18: command 'query' may not be executed out of band"),
        (log(&["sent {\"execute\": \"leave\"}"]), ""),
        (log(&["sent {\"execute\": \"leave\"}", "received {\"return\": {}}"]),
            "2: D0104 v.json:11:18: command 'leave' does not answer success"),
        (log(&["sent {\"execute\": \"open\", \"arguments\": {\"size\": 1}}", "received {\"return\": {}}"]), ""),
        (log(&["sent {\"execute\": \"maybe\"}"]), "2: D0404 v.json:13:18: command 'maybe' is there only if MAYBE"),
        (log(&["received {\"event\": \"GONE\"}"]), "2: D0102 event 'GONE' does not exist"),
        (log(&["received {\"event\": \"CHANGED\", \"data\": {\"what\": \"moon\", \"why\": 1}}"]),
            "2: D0301 v.json:14:16: member 'why' of event 'CHANGED' does not exist
2: D0307 v.json:14:37: value 'moon' of member 'what' of event 'CHANGED' does not exist"),
        (replied(r#"[{"size": 1, "kinds": []}, {"size": 2, "kinds": ["net"], "name": "n"}]"#), ""),
        (replied(r#"[{"size": "1", "kinds": "file", "age": 1}, {"kinds": [1]}]"#),
            "3: D0303 v.json:9:35: member '[].size' of the result of command 'query' may be an integer, was a string
3: D0303 v.json:9:66: member '[].kinds[]' of the result of command 'query' may be one of a few strings, was an integer
3: D0305 v.json:10:18: member '[].age' of the result of command 'query' does not exist, it was optional"),
    ] {
        let (answer, told) = answer(&schema, &usage);
        assert_eq!(told.join("\n"), expected, "{usage}");
        let worst = match expected {
            "" => Verdict::Works,
            _ if answer.changes.iter().any(|it| it.diagnostic.level == qapi_gen::diagnostic::Level::Deny) => Verdict::Breaks,
            _ => Verdict::Degrades,
        };
        assert_eq!(answer.verdict, worst, "{usage}");
    }
}

/// What is not always so is told with a line where it is not.
#[test]
fn values_of_all_lines_count() {
    let schema = schema(SCHEMA);
    let usage = log(&[
        r#"sent {"execute": "add", "arguments": {"node": {"kind": "net", "port": 1}}, "id": 1}"#,
        r#"sent {"execute": "add", "arguments": {"node": {"kind": "net"}}, "id": 2}"#,
        r#"received {"return": {}, "id": 2}"#,
        r#"received {"return": {}, "id": 1}"#,
        r#"sent {"execute": "query"}"#,
        r#"received {"return": [{"size": 1, "kinds": [], "age": 1}, {"size": 1, "kinds": []}]}"#,
        r#"sent {"execute": "query"}"#,
        r#"received {"return": [{"size": 1, "kinds": ["moon"]}]}"#,
    ]);
    let (answer, told) = answer(&schema, &usage);
    let expected = [
        "3: D0203 v.json:4:34: argument 'node.port' of command 'add' with node.kind 'net' is mandatory, and was not always sent",
        "7: D0305 v.json:10:18: member '[].age' of the result of command 'query' does not exist, it was optional",
        "9: D0307 v.json:9:66: value 'moon' of member '[].kinds[]' of the result of command 'query' does not exist",
    ];
    assert_eq!(told, expected);
    assert_eq!((answer.n_commands, answer.n_events), (2, 0));
    let answer = answer.without(&[Code::ArgumentBecameMandatory]);
    assert_eq!(answer.verdict, Verdict::Degrades);
}

/// What never worked cannot break; what nobody answered was sent all the same.
#[test]
fn refused_commands_count_as_far_as_they_were_looked_at() {
    let schema = schema(SCHEMA);
    let refused = |class: &str| {
        let error = format!("received {{\"error\": {{\"class\": \"{class}\", \"desc\": \"d\"}}}}");
        log(&[
            "sent {\"execute\": \"add\", \"arguments\": {\"nodes\": 1}}",
            &error,
        ])
    };
    assert_eq!(answer(&schema, &refused("CommandNotFound")).0.n_commands, 0);
    let (generic, told) = answer(&schema, &refused("GenericError"));
    assert_eq!(
        (generic.n_commands, generic.verdict),
        (1, Verdict::Works),
        "{told:?}"
    );
    assert_eq!(
        answer(&schema, &refused("DeviceNotFound")).0.verdict,
        Verdict::Breaks
    );
    let unanswered = log(&["sent {\"execute\": \"add\", \"arguments\": {\"nodes\": 1}}"]);
    assert_eq!(answer(&schema, &unanswered).0.verdict, Verdict::Breaks);
    // An answer that is to nothing, and messages that are none.
    let strange = log(&[
        "received {\"return\": 1}",
        "received {\"error\": 1, \"id\": 2}",
        "sent 1",
        "sent {\"execute\": 1}",
        "received []",
    ]);
    assert_eq!(answer(&schema, &strange).0.verdict, Verdict::Works);
}

#[test]
fn masked_values_fit() {
    let schema = schema(SCHEMA);
    let lines = [
        r#"{"qmp-session-log": 1}"#,
        r#"{"connection": 1, "sent": {"execute": "add", "arguments": {"node": {"kind": "net", "port": "***"}}}, "masked": ["arguments.node.port"]}"#,
        r#"{"connection": 1, "received": {"return": {}}}"#,
        r#"{"connection": 1, "sent": {"execute": "add", "arguments": {"node": {"kind": "***", "port": 1}}}, "masked": ["arguments.node.kind"]}"#,
        r#"{"connection": 1, "received": {"return": {}}}"#,
        r#"{"connection": 1, "sent": {"execute": "query"}}"#,
        r#"{"connection": 1, "received": {"return": [{"size": "***", "kinds": ["***"]}]}, "masked": ["return.0.size", "return.0.kinds.0"]}"#,
        "",
    ];
    let (answer, told) = answer(&schema, &lines.join("\n"));
    assert_eq!(answer.verdict, Verdict::Works, "{told:?}");
    let shown = lines.join("\n").replace("masked", "shown");
    assert_eq!(self::answer(&schema, &shown).0.verdict, Verdict::Breaks);
}

/// Names of a log may be anything, and are short in messages.
#[test]
fn hostile_names_are_shown() {
    let schema = schema(SCHEMA);
    let name = format!("\\u001b[31m\\u202e{}", "x".repeat(200));
    let usage = log(&[&format!("sent {{\"execute\": \"{name}\"}}")]);
    let (_, told) = answer(&schema, &usage);
    assert!(
        told[0]
            .starts_with("2: D0101 command '\u{2039}U+001B\u{203a}[31m\u{2039}U+202E\u{203a}xxx"),
        "{told:?}"
    );
    assert!(told[0].chars().count() < 150, "{told:?}");
}

/// Objects that are branches of themselves, lists of themselves: a server may tell of anything.
#[test]
fn types_that_contain_themselves_end() {
    let told = r#"[
        {"name": "go", "meta-type": "command", "arg-type": "0", "ret-type": "2"},
        {"name": "0", "meta-type": "object", "members": [{"name": "tag", "type": "1"}], "tag": "tag",
         "variants": [{"case": "a", "type": "0"}]},
        {"name": "1", "meta-type": "enum", "values": ["a"]},
        {"name": "2", "meta-type": "array", "element-type": "2"}]"#;
    let strange = Interface::of_introspection(told).expect("well-formed");
    let lists = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let sent = r#"sent {"execute": "go", "arguments": {"tag": "a", "b": 1}}"#;
    let usage = log(&[sent, &format!("received {{\"return\": {lists}}}")]);
    let answers = judge(&usage, &[&strange], None).expect("a good log");
    let codes: Vec<_> = answers[0]
        .changes
        .iter()
        .map(|it| it.diagnostic.code)
        .collect();
    assert_eq!(codes, [Code::ArgumentGone]);
    for path in ["go/returns/a", "go/returns=a", "go/arguments/tag=a/tag=a/b"] {
        let error = judge(path, &[&strange], None).expect_err("not there");
        assert_eq!(error.to_string(), format!("line 1: no schema has '{path}'"));
    }
}

/// A page of `explain` has a log and a version.
#[test]
fn the_page_of_a_rule_shows_it() {
    let page = Code::ResultValueGone.explanation();
    let block = |kind: &str| {
        let rest = page.split(&format!("```{kind}\n")).nth(1).expect("a block");
        rest.split("```").next().expect("its end").to_owned()
    };
    let (answer, told) = answer(&schema(&block("qapi")), &block("log"));
    let codes: Vec<_> = answer.changes.iter().map(|it| it.diagnostic.code).collect();
    assert_eq!(codes, [Code::ResultValueGone], "{told:?}");
}

#[test]
fn a_manifest_is_a_list_of_paths() {
    let schema = schema(SCHEMA);
    let (fits, told) = answer(
        &schema,
        "# What is used.\n\nadd/arguments/node/kind=file/path\nquery/returns/name\nquery/returns/kinds=net\n\
         CHANGED/data/what\nadd/arguments/node/kind=file/deep/port\n",
    );
    assert_eq!(told, [""; 0]);
    assert_eq!((fits.n_commands, fits.n_events), (2, 1));
    // Beside a version that has everything.
    let all = "
        { 'enum': 'Kind', 'data': [ 'file', 'moon', 'net' ] }
        { 'struct': 'Crater', 'data': { 'depth': 'int' } }
        { 'union': 'Node', 'base': { 'kind': 'Kind', '*id': 'str' }, 'discriminator': 'kind', 'data': { 'moon': 'Crater' } }
        { 'command': 'add', 'data': { 'node': 'Node', '*size': { 'type': 'int', 'features': [ 'wide' ] } }, 'features': [ 'fast' ] }
        { 'struct': 'Info', 'data': { 'size': 'int', 'age': 'int' } }
        { 'command': 'query', 'returns': [ 'Info' ] }
        { 'command': 'fly' }
        { 'event': 'CHANGED', 'data': { '*who': 'Kind' } }
        { 'event': 'LANDED' }";
    let all = self::schema(all);
    let interfaces = [&schema, &all].map(|it| Interface::of_schema(it, &Configuration::new()));
    let manifest = "fly\nLANDED\nadd#fast\nadd/arguments/node/kind=moon\nadd/arguments/node/kind=moon/depth\n\
        add/arguments/size#wide\nquery/returns/age\nCHANGED/data/who\nCHANGED/data/who=moon\n";
    let answers = judge(manifest, &[&interfaces[0], &interfaces[1]], None).expect("paths");
    let codes = |answer: &Answer| {
        let changes = answer.changes.iter();
        changes
            .map(|it| (it.line.expect("a line"), it.diagnostic.code.as_str()))
            .collect::<Vec<_>>()
    };
    let expected = [
        (1, "D0101"),
        (3, "D0403"),
        (6, "D0201"),
        (4, "D0204"),
        (7, "D0301"),
        (2, "D0102"),
        (8, "D0301"),
    ];
    assert_eq!(codes(&answers[0]), expected);
    assert_eq!(codes(&answers[1]), []);
    for (text, expected) in [
        (
            "stop here\n",
            "line 1: 'stop here' is no path, such as 'query-block/returns/inserted'",
        ),
        (
            "query\n\nquery/returns/nothing\n",
            "line 3: no schema has 'query/returns/nothing'",
        ),
        ("query#fast", "line 1: no schema has 'query#fast'"),
        (
            "add/arguments/node/kind=star",
            "line 1: no schema has 'add/arguments/node/kind=star'",
        ),
        (
            "a\u{1b}[31m",
            "line 1: 'a\u{2039}U+001B\u{203a}[31m' is no path, such as 'query-block/returns/inserted'",
        ),
        (
            "# Nothing.\n",
            "line 1: neither a session log nor a manifest, which has a path on each line",
        ),
        (
            "",
            "line 1: neither a session log nor a manifest, which has a path on each line",
        ),
    ] {
        let error = judge(text, &[&interfaces[0], &interfaces[1]], None).expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
}

/// What a server told is as good as its schema.
#[test]
fn introspection_gives_the_same_verdict() {
    let schema = schema(SCHEMA);
    let decided = Configuration::with_default(true);
    let told = qapi_gen::backend::introspect::introspect(&schema, &decided, Default::default());
    let told = told.expect("decided");
    assert!(Introspection::read(&told).is_ok());
    let interfaces = [
        Interface::of_schema(&schema, &decided),
        Interface::of_introspection(&told).expect("well-formed"),
    ];
    let usage = log(&[
        r#"sent {"execute": "add", "arguments": {"node": {"kind": "net", "mode": "m"}, "color": 1}}"#,
        r#"received {"return": {}}"#,
        r#"sent {"execute": "query"}"#,
        r#"received {"return": [{"size": true, "kinds": ["moon", "tape"]}]}"#,
    ]);
    let answers = judge(&usage, &[&interfaces[0], &interfaces[1]], None).expect("a good log");
    let told = answers.iter().map(|answer| {
        let changes = answer.changes.iter();
        changes
            .map(|it| (it.line, it.diagnostic.message.clone()))
            .collect::<Vec<_>>()
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told[0].len(), 6, "{told:?}");
    assert_eq!(told[0], told[1]);
}

/// Twice as much of anything takes twice as many steps.
#[test]
fn work_is_in_proportion_to_the_log() {
    let schema = schema(SCHEMA);
    let chain = |n: usize| {
        let link = r#"{"kind": "file", "path": "p", "deep": "#;
        format!("{}\"n\"{}", link.repeat(n), "}".repeat(n))
    };
    let add =
        |node: &str| format!("sent {{\"execute\": \"add\", \"arguments\": {{\"node\": {node}}}}}");
    let members = |n: usize| {
        let members: String = (0..n).map(|n| format!(", \"m{n}\": {{}}")).collect();
        format!("{{\"kind\": \"file\", \"path\": \"p\"{members}}}")
    };
    type Grow<'a> = (&'static str, Box<dyn Fn(usize) -> Vec<String> + 'a>);
    let shapes: [Grow<'_>; 5] = [
        (
            "messages",
            Box::new(|n| vec![add(r#"{"kind": "net", "port": 1}"#); n]),
        ),
        ("depth", Box::new(|n| vec![add(&chain(n))])),
        ("members", Box::new(|n| vec![add(&members(n))])),
        (
            "values",
            Box::new(|n| {
                (0..n)
                    .map(|n| add(&format!("{{\"kind\": \"k{n}\"}}")))
                    .collect()
            }),
        ),
        (
            "commands",
            Box::new(|n| {
                (0..n)
                    .map(|n| format!("sent {{\"execute\": \"c{n}\"}}"))
                    .collect()
            }),
        ),
    ];
    let interface = Interface::of_schema(&schema, &Configuration::new());
    for (name, shape) in &shapes {
        let steps = |n: usize| {
            let messages = shape(n);
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            let usage = log(&messages);
            let before = qapi_gen::internals::steps::taken();
            judge(&usage, &[&interface], None).expect("a good log");
            qapi_gen::internals::steps::taken() - before
        };
        let (once, twice) = (steps(200), steps(400));
        assert!(
            once >= 200 && twice <= 2 * once + 100,
            "{name}: {once} and {twice}"
        );
    }
}
