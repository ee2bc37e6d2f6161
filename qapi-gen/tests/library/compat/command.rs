//! The command line.

use super::{SCHEMA, log};
use crate::command::{code, folder_with, stderr};
use crate::process::shell;

#[test]
fn the_command_answers_per_version() {
    let usage = log(&[
        r#"sent {"execute": "query", "id": 1}"#,
        r#"received {"return": [{"size": 1, "kinds": []}], "id": 1}"#,
        r#"sent {"execute": "add", "arguments": {"node": {"kind": "tape"}}, "id": 2}"#,
    ]);
    let folder = folder_with(&[
        ("use.log", &usage),
        ("v1.json", SCHEMA),
        (
            "v2.json",
            "{ 'struct': 'Info', 'data': { 'size': 'int', 'kinds': [ 'str' ] } }\n{ 'command': 'query', 'returns': [ 'Info' ] }\n",
        ),
        ("bad.json", "{ 'command': 'query', 'returns': 'Nothing' }\n"),
        ("cut.log", &usage[..usage.len() - 9]),
        ("next.log", "{\"qmp-session-log\": 2}\n"),
        ("manifest", "query/returns/size\nquery/returns/age\n"),
    ]);
    let run = |script: &str| {
        let output = shell(folder.path(), script);
        (
            code(&output),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr(&output),
        )
    };
    let (status, out, _) = run("$G compat use.log --against v1.json --message-format short");
    assert_eq!(
        (status, &*out),
        (
            0,
            "v1.json: degrades (2 commands, 0 events)\n\
        v1.json:2:58: warning[D0401]: value 'tape' of argument 'node.kind' of command 'add' is deprecated (used at use.log:4)\n"
        )
    );
    let (status, out, _) =
        run("$G compat use.log --against v1.json v2.json --message-format short --allow D0401");
    assert_eq!(
        (status, &*out),
        (
            1,
            "v1.json: works (2 commands, 0 events)\nv2.json: breaks (2 commands, 0 events)\n\
        v2.json: error[D0101]: command 'add' does not exist (used at use.log:4)\n"
        )
    );
    let (status, out, _) = run("$G compat use.log --against v2.json --message-format json");
    assert_eq!(status, 1);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"schema": "v2.json", "verdict": "breaks", "commands": 2, "events": 0})
    );
    assert_eq!(
        (&lines[1]["schema"], &lines[1]["line"], &lines[1]["code"]),
        (&"v2.json".into(), &4.into(), &"D0101".into())
    );
    let (status, out, _) = run("$G compat use.log --against v1.json");
    assert_eq!(status, 0);
    assert!(
        out.contains("v1.json:2:58") && out.contains("used at use.log:4"),
        "{out}"
    );
    for (script, expected) in [
        (
            "$G compat cut.log --against v1.json",
            "cut.log: line 4: the log is cut off here: ",
        ),
        (
            "$G compat next.log --against v1.json",
            "next.log: line 1: a session log of version 2, while only version 1 is known",
        ),
        (
            "$G compat manifest --against v1.json v2.json",
            "manifest: line 2: no schema has 'query/returns/age'",
        ),
        (
            "$G compat absent --against v1.json",
            "absent: No such file or directory",
        ),
        (
            "printf '\\n\\377' > latin && $G compat latin --against v1.json",
            "latin: line 2: not UTF-8",
        ),
        (
            "$G compat use.log --against bad.json v1.json",
            "unknown type 'Nothing'",
        ),
        (
            "$G compat use.log --against absent.json",
            "absent.json: No such file or directory",
        ),
    ] {
        let (status, out, error) = run(script);
        assert_eq!((status, &*out), (1, ""), "{script}: {error}");
        assert!(error.contains(expected), "{script}: {error}");
    }
    assert_eq!(run("$G compat use.log").0, 2);
}
