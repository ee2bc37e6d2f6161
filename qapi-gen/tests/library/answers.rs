//! `qapi-gen` as a process: what `validate` and `diff` say, and what a folder holds that several runs write to.

use std::fs;

use crate::command::{COMMAND, code, folder_with, stderr};
use crate::process::shell;

/// Each value has an answer on a line of its own, and so has what is left of one.
#[test]
fn each_value_is_answered() {
    let folder = folder_with(&[(
        "schema.json",
        "{ 'command': 'cmd', 'data': { 'n': 'int' } }\n{ 'command': 'end', 'success-response': false }\n",
    )]);
    let good = r#"{"execute": "cmd", "arguments": {"n": 1}, "id": 7}"#;
    let success = r#"{"return": {}, "id": 7}"#;
    let mistake = |place: &str, what: &str| {
        format!(
            r#"{{"error": {{"class": "GenericError", "desc": "1:{place}: JSON parse error, {what}"}}}}"#
        )
    };
    let missing = r#"{"error": {"class": "GenericError", "desc": "Parameter 'n' is missing"}}"#;
    for (input, expected, is_refused) in [
        (format!("{good}\n"), vec![success.to_owned()], false),
        (format!("{good}{good} {good}"), vec![success.to_owned(); 3], false),
        (format!("\n  \n{good}\n\n"), vec![success.to_owned()], false),
        (r#"{"execute": "end"}"#.to_owned(), vec![r#"{"return": {}}"#.to_owned()], false),
        (
            format!(r#"{good} {{"execute": "cmd"}} {good}"#),
            vec![success.to_owned(), missing.to_owned(), success.to_owned()],
            true,
        ),
        // Half a value, alone and after whole ones; the next line is not its end.
        (
            format!("{{\"execute\":\n{good}\n"),
            vec![mistake("12", "premature end of input"), success.to_owned()],
            true,
        ),
        (
            format!("{good} {{\"execute\""),
            vec![success.to_owned(), mistake("62", "premature end of input")],
            true,
        ),
        (
            "1 tru".to_owned(),
            vec![
                r#"{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}"#.to_owned(),
                mistake("3", "invalid keyword 'tru'"),
            ],
            true,
        ),
        // What is after a mistake in brackets is dropped up to their end.
        (
            format!("{{\"a\" 1, 2}} {good}"),
            vec![mistake("6", "expecting ':'"), success.to_owned()],
            true,
        ),
        (String::new(), Vec::new(), false),
    ] {
        fs::write(folder.path().join("input"), &input).expect("written");
        for (script, status) in [
            ("$G validate schema.json input", 0),
            ("$G validate schema.json - <input", 0),
            ("$G validate --exit-code schema.json <input", i32::from(is_refused)),
        ] {
            let output = shell(folder.path(), script);
            let answers = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(answers.lines().collect::<Vec<_>>(), expected, "{input}");
            assert_eq!(code(&output), status, "{script}: {input}");
        }
    }
    // A file called so is still found.
    fs::write(folder.path().join("-"), good).expect("written");
    let output = shell(folder.path(), "$G validate schema.json ./-");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{success}\n")
    );
}

/// What is not whole JSON is not taken for a schema.
#[test]
fn diff_says_where_json_is_wrong() {
    let folder = folder_with(&[
        ("schema.json", COMMAND),
        ("cut.json", "[{\"name\": \"cmd\",\n \"meta-type\": \"comm"),
        ("reply.json", "{\"return\": [\n"),
        ("open.json", " {"),
        ("more.json", "[]]"),
        ("text.json", "\"abc"),
        ("latin.json", "[]"),
        (
            "error.json",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}",
        ),
    ]);
    fs::write(folder.path().join("latin.json"), b"[\"\xe4\"]").expect("written");
    for (file, expected) in [
        (
            "cut.json",
            "not JSON: EOF while parsing a string at line 2 column 19",
        ),
        (
            "reply.json",
            "not JSON: EOF while parsing a list at line 2 column 0",
        ),
        (
            "open.json",
            "not JSON: EOF while parsing an object at line 1 column 2",
        ),
        (
            "more.json",
            "not JSON: trailing characters at line 1 column 3",
        ),
        (
            "text.json",
            "not JSON: EOF while parsing a string at line 1 column 4",
        ),
        (
            "latin.json",
            "not JSON: invalid unicode code point at line 1 column 3",
        ),
        ("error.json", "the server answered with an error: no"),
    ] {
        let output = shell(folder.path(), &format!("$G diff schema.json {file}"));
        assert_eq!(code(&output), 1, "{file}");
        assert_eq!(stderr(&output), format!("qapi-gen: {file}: {expected}\n"));
    }
    // A schema with a mistake at its beginning is one still.
    let output = shell(
        folder.path(),
        "echo \"{ 'comand': 'x' }\" >bad.json; $G diff bad.json schema.json",
    );
    assert!(stderr(&output).contains("error[Q0"), "{}", stderr(&output));
}

/// All that have a change are told of: how many, or which.
#[test]
fn diff_counts_or_names_all_that_have_a_change() {
    let commands = "{ 'command': 'a', 'data': { 'e': 'En' } }\n{ 'command': 'b', 'data': { 'e': 'En' } }\n{ 'command': 'c', 'data': { 'e': 'En' } }\n";
    let schema = |values: &str| format!("{{ 'enum': 'En', 'data': [ {values} ] }}\n{commands}");
    let folder = folder_with(&[
        ("old.json", &schema("'x', 'y'")),
        ("new.json", &schema("'x'")),
    ]);
    let message =
        "old.json:1:32: error[D0204]: value 'y' of argument 'e' of command 'a' was removed";
    for (option, also) in [
        ("", "also in 2 more commands"),
        ("--all", "also in commands 'b', 'c'"),
    ] {
        let script = format!("$G diff --message-format short {option} old.json new.json");
        let output = shell(folder.path(), &script);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{message} ({also})\n")
        );
        for format in ["human", "json"] {
            let script = format!("$G diff --message-format {format} {option} old.json new.json");
            let output = shell(folder.path(), &script);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(text.matches(also).count(), 1, "{text}");
        }
    }
}

/// The folder has what one of the runs has made, not a bit of each.
#[test]
fn two_schemas_in_one_folder_do_not_mix() {
    let types = |name: &str| {
        let types =
            (0..200).map(|n| format!("{{ 'struct': '{name}T{n}', 'data': {{ 'a': 'int' }} }}\n"));
        types.collect::<String>()
    };
    let folder = folder_with(&[
        ("left.json", &types("Left")),
        ("right.json", &types("Right")),
    ]);
    for _ in 0..8 {
        let both = "$G generate left.json --out-dir out & left=$!; $G generate right.json --out-dir out && wait $left";
        let output = shell(folder.path(), both);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let is_current = |schema: &str| {
            let check = format!("$G generate {schema} --out-dir out --check");
            code(&shell(folder.path(), &check)) == 0
        };
        assert!(is_current("left.json") || is_current("right.json"));
        let output = shell(folder.path(), "find . -name '.qapi-gen-*'");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}

/// A line of any length takes as much memory as the longest command that a server reads.
#[test]
fn validate_reads_a_command_up_to_the_limit() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    let script = "ulimit -v 1000000; (echo '{ \"execute\": \"cmd\" }'; cat /dev/zero) | $G validate schema.json";
    let output = shell(folder.path(), script);
    assert_eq!(code(&output), 1);
    assert_eq!(stderr(&output), "qapi-gen: line 2 is longer than 64 MiB\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}
