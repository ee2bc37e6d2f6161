//! Commands on a server.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use tests::Suite;

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 8] = [
        ("commands-are-executed", commands_are_executed),
        ("words-become-arguments", words_become_arguments),
        (
            "mistakes-are-told-before-anything-is-sent",
            mistakes_are_told,
        ),
        ("refusals-have-a-status", refusals_have_a_status),
        ("an-event-is-waited-for", an_event_is_waited_for),
        ("a-descriptor-goes-along", a_descriptor_goes_along),
        ("scripts-end-where-they-fail", scripts_end_where_they_fail),
        ("a-kept-schema-never-refuses", a_kept_schema_never_refuses),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

fn commands_are_executed() {
    let server = start();
    let place = Place::at(&server);
    assert_eq!(place.text_of(&["query-status"]).lines().count(), 1);
    let human = place.text_of(&["--human", "query-iothreads"]);
    assert!(human.starts_with("- id: io0\n  thread-id: "), "{human}");
    assert!(human.contains("\n- id: io1\n"), "{human}");
    // What returns nothing says nothing to people, and {} to programs.
    let delete = ["object-del", "id=io1"];
    assert_eq!(place.text_of(&[&["--human"], &delete[..]].concat()), "");
    let add = ["object-add", "qom-type=iothread", "id=io1"];
    assert_eq!(place.text_of(&add), "{}\n");
    let lines = place.text_of(&["--hmp", "info iothreads"]);
    assert!(lines.contains("io0"), "{lines}");
}

fn words_become_arguments() {
    let server = start();
    let place = Place::at(&server);
    // The branch of a union, and integers.
    place.text_of(&[
        "object-add",
        "qom-type=iothread",
        "id=io2",
        "poll-max-ns=0x10",
    ]);
    let get = ["qom-get", "path=/objects/io2", "property=poll-max-ns"];
    assert_eq!(place.text_of(&get), "16\n");
    // 'any' is what it looks like.
    place.text_of(&[
        "qom-set",
        "path=/objects/io2",
        "property=poll-max-ns",
        "value=1000",
    ]);
    assert_eq!(place.text_of(&get), "1000\n");
    let file = place.folder.path().join("disk.img");
    fs::write(&file, [0; 4096]).unwrap();
    let name = format!("filename={}", file.display());
    place.text_of(&[
        "blockdev-add",
        "driver=file",
        "node-name=f",
        &name,
        "cache.direct=off",
    ]);
    place.text_of(&[
        "blockdev-add",
        "driver=raw",
        "node-name=r",
        "file=f",
        "size=2K",
    ]);
    let nodes = place.text_of(&["query-named-block-nodes"]);
    assert!(nodes.contains("\"r\"") && nodes.contains("2048"), "{nodes}");
    place.text_of(&["blockdev-del", r#"{"node-name": "r"}"#]);
}

fn mistakes_are_told() {
    let server = start();
    let place = Place::at(&server);
    for (arguments, expected) in [
        (
            &["qom-get", "path=/"][..],
            "Parameter 'property' is missing",
        ),
        (
            &["qom-get", "path=/", "property=a", "x=1"],
            "Parameter 'x' is unexpected",
        ),
        (
            &[
                "object-add",
                "qom-type=iothread",
                "id=a",
                "poll-max-ns=many",
            ],
            "Invalid parameter type for 'poll-max-ns', expected: integer",
        ),
        (
            &["object-add", "qom-type=teapot", "id=a"],
            "does not accept value 'teapot'",
        ),
        // Of another branch.
        (
            &[
                "blockdev-add",
                "driver=null-co",
                "node-name=n",
                "filename=/x",
            ],
            "Parameter 'filename' is unexpected",
        ),
        (&["make-tea"], "The command make-tea has not been found"),
        (&["query-status", "oops"], "'oops' is not an argument"),
        (&["query-status", "{\"a\": "], "is not JSON: EOF"),
        (&["query-status", "--fd", "77"], "--fd 77: "),
        (&["query-status", "--wait-event", "STOP,x"], "MEMBER=VALUE"),
        (&["query-status", "--oob"], "does not support OOB"),
    ] {
        let failure = place.failure_of(2, arguments);
        assert!(failure.contains(expected), "{arguments:?}: {failure}");
    }
    // The command line itself.
    assert_eq!(place.run(&["--fd", "3"]).status.code(), Some(2));
    assert_eq!(
        place
            .run(&["--timeout", "-1", "query-status"])
            .status
            .code(),
        Some(2)
    );
}

fn refusals_have_a_status() {
    let server = start();
    let place = Place::at(&server);
    let failure = place.failure_of(1, &["object-del", "id=nobody"]);
    assert!(
        failure.contains("object 'nobody' not found (GenericError)"),
        "{failure}"
    );
    let failure = place.failure_of(11, &["qom-get", "path=/nowhere", "property=a"]);
    assert!(failure.contains("(DeviceNotFound)"), "{failure}");
    let failure = place.failure_of(10, &["--no-check", "make-tea"]);
    assert!(failure.contains("(CommandNotFound)"), "{failure}");
}

fn an_event_is_waited_for() {
    let server = start();
    let place = Place::at(&server);
    // The first of several.
    let text = place.text_of(&["quit", "--wait-event", "STOP", "--wait-event", "SHUTDOWN"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{}");
    assert!(lines[1].contains(r#""event": "SHUTDOWN""#), "{text}");
    assert_eq!(lines.len(), 2);
    let server = start();
    let place = Place::at(&server);
    let waiting = [
        "query-name",
        "--timeout",
        "1",
        "--wait-event",
        "SHUTDOWN,x=y",
    ];
    let failure = place.failure_of(6, &waiting);
    assert!(
        failure.contains("the command was executed, but"),
        "{failure}"
    );
    // What it returned is printed.
    assert_eq!(place.run(&waiting).stdout, b"{}\n");
    // A server that ends without the event.
    let failure = place.failure_of(4, &["quit", "--wait-event", "STOP"]);
    assert!(
        failure.contains("the command was executed, but"),
        "{failure}"
    );
}

fn a_descriptor_goes_along() {
    let server = start();
    let place = Place::at(&server);
    // A shell opens descriptor 5 for the program.
    let script = r#"exec 5</dev/null; "$0" "$@""#;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_qmp"), &place.address]);
    shell.args(["add-fd", "fdset-id=3", "--fd", "5"]);
    shell.env("XDG_CACHE_HOME", place.folder.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r#""fdset-id": 3"#), "{text}");
}

fn scripts_end_where_they_fail() {
    let server = start();
    let place = Place::at(&server);
    let script = place.folder.path().join("script");
    let name = script.to_str().unwrap();
    fs::write(
        &script,
        "# Three objects.\nobject-add qom-type=iothread id=a\n\nobject-add qom-type=iothread id='b'\n\
         object-del id=nobody\nobject-add qom-type=iothread id=c\n",
    )
    .unwrap();
    let failure = place.failure_of(1, &["-f", name]);
    let expected = format!("qmp: {name}:5: object-del: object 'nobody' not found (GenericError)");
    assert!(failure.starts_with(&expected), "{failure}");
    assert!(
        failure.ends_with("(lines up to 4 were executed)"),
        "{failure}"
    );
    let objects = place.text_of(&["qom-list", "path=/objects"]);
    assert!(
        objects.contains("\"b\"") && !objects.contains("\"c\""),
        "{objects}"
    );
    // A line that cannot be read is found before the first is executed.
    fs::write(&script, "object-del id=a\nobject-del 'id=b\n").unwrap();
    let failure = place.failure_of(2, &["-f", name]);
    assert!(
        failure.contains(":2: a quote or a bracket is not closed"),
        "{failure}"
    );
    assert!(
        place
            .text_of(&["qom-list", "path=/objects"])
            .contains("\"a\"")
    );
    // From a pipe.
    let mut program = place.program(&["-f", "-"]);
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"object-del id=a\nobject-del id=b\n")
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"{}\n{}\n");
    let failure = place.failure_of(7, &["-f", "/nowhere/at/all"]);
    assert!(
        failure.contains("/nowhere/at/all: No such file"),
        "{failure}"
    );
}

fn a_kept_schema_never_refuses() {
    let server = start();
    let place = Place::at(&server);
    place.text_of(&["query-status"]);
    let [kept] = &place.kept()[..] else {
        panic!("{:?}", place.kept());
    };
    let whole = fs::read(kept).unwrap();
    // Of another server, that has little: what it lacks is asked for anew, and kept.
    let little = r#"[{"name": "stop", "meta-type": "command", "arg-type": "0", "ret-type": "0"},
        {"name": "0", "meta-type": "object", "members": []}]"#;
    // And what is not a schema at all.
    for text in [
        little.as_bytes(),
        b"",
        b"[{",
        &whole[..whole.len() / 2],
        &[0xff; 100],
    ] {
        fs::write(kept, text).unwrap();
        place.text_of(&["qom-get", "path=/objects/io0", "property=poll-max-ns"]);
        assert_eq!(fs::read(kept).unwrap(), whole);
    }
    // Where it accepts what the server refuses, it goes.
    fs::write(kept, little).unwrap();
    let failure = place.failure_of(10, &["stop"]);
    assert!(failure.contains("(CommandNotFound)"), "{failure}");
    assert!(!kept.exists());
    // A folder that cannot be is not a folder.
    let mut program = place.program(&["query-status"]);
    let output = program
        .env("XDG_CACHE_HOME", "/dev/null/x")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
