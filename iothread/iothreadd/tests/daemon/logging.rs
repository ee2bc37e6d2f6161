//! The log on the standard error.

use std::process::Command;

use serde_json::json;

use crate::harness::{Server, eventually, program, run};

/// Starts a server, has it do something, and returns what it has said when `is_enough`.
fn said(command: Command, is_enough: impl Fn(&str) -> bool) -> String {
    let mut server = Server::start_as(command, tempfile::tempdir().unwrap());
    let mut client = server.client();
    client.add_node("n0");
    client.execute(
        "x-blockdev-set-iothread",
        json!({"node-name": "n0", "iothread": "io0"}),
    );
    client.error("blockdev-del", json!({"node-name": "a\u{1b}[2J\nb"}));
    let mut text = String::new();
    eventually(|| {
        text = server.said().join("\n");
        is_enough(&text)
    });
    text
}

fn logging(filter: &str) -> Command {
    let mut command = program();
    command.args(["--object", "iothread,id=io0", "--log", filter]);
    command
}

#[test]
fn commands_and_holders_are_logged_in_their_spans() {
    let text = said(logging("debug"), |it| it.contains("failed"));
    let line = |words: &[&str]| {
        let has = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines()
            .find(has)
            .unwrap_or_else(|| panic!("{words:?} in {text}"))
    };
    line(&["info: listening on unix:"]);
    line(&["debug: command{", "blockdev-add", "done"]);
    line(&[
        "debug: command{",
        "x-blockdev-set-iothread",
        "held",
        "block-node 'n0'",
    ]);
    let failed = line(&["debug: command{", "blockdev-del", "failed"]);
    // What clients say steers no terminal, and is one line.
    assert!(failed.contains(r"a\u{1b}[2J\nb"), "{failed}");
    assert!(
        text.lines().all(|it| it.starts_with("iothreadd: ")),
        "{text}"
    );
}

#[test]
fn a_filter_chooses_and_the_option_is_stronger_than_the_variable() {
    let text = said(logging("iothread=debug"), |it| it.contains("held"));
    assert!(
        !text.contains("command{") && !text.contains("listening"),
        "{text}"
    );
    let mut command = logging("info");
    command.env("IOTHREADD_LOG", "trace");
    let text = said(command, |it| it.contains("listening"));
    assert!(
        !text.contains("debug: ") && !text.contains("trace: "),
        "{text}"
    );
    let mut command = program();
    command.args(["--object", "iothread,id=io0"]);
    command.env("IOTHREADD_LOG", "iothreadd::commands=debug");
    let text = said(command, |it| it.contains("failed"));
    assert!(!text.contains("held"), "{text}");
}

#[test]
fn filters_that_are_none() {
    let output = run(&["--log", "loud"], b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("'loud' is not one of off, error"), "{said}");
    let output = program().env("IOTHREADD_LOG", "loud").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("iothreadd: IOTHREADD_LOG: 'loud' is not one of"),
        "{said}"
    );
}

/// As under systemd, which says by a variable which file the journal reads.
#[test]
fn lines_for_the_journal_have_priorities() {
    let script = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program().get_program());
    command.args(["--object", "iothread,id=io0", "--log", "debug"]);
    let text = said(command, |it| it.contains("failed"));
    assert!(
        text.contains("<6>iothreadd: info: listening on unix:"),
        "{text}"
    );
    assert!(text.contains("<7>iothreadd: debug: command{"), "{text}");
    assert!(text.lines().all(|it| it.starts_with('<')), "{text}");
}

#[test]
fn requests_are_logged_if_that_is_asked_for() {
    let mut command = program();
    command.args([
        "--object",
        "iothread,id=io0",
        "--log",
        "iothreadd::requests=trace",
    ]);
    let mut server = Server::start_as(command, tempfile::tempdir().unwrap());
    let mut client = server.client();
    client.add_node("n0");
    let path = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": path}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0"});
    client.execute("block-export-add", export);
    crate::nbd::Nbd::open(&path, "e").read(512, 1024);
    eventually(|| {
        server.said().iter().any(|it| {
            let words = [
                "trace: request{",
                "block-export e",
                "read",
                "offset=512",
                "length=1024",
                "done",
            ];
            words.iter().all(|word| it.contains(word))
        })
    });
}
