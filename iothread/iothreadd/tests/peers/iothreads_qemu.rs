//! The same QMP script against a live QEMU and against `iothreadd`.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.with(
        "iothreads-as-qemu",
        Tool::Program("qemu-system-x86_64"),
        iothreads_as_qemu,
    )
}

/// Commands whose replies must be equal, except what [`normalize`] takes away.
fn script() -> Vec<(&'static str, Value)> {
    let command = |name: &'static str, arguments: Value| (name, arguments);
    let plain = |name: &'static str| (name, json!({}));
    let add = |arguments: Value| command("object-add", arguments);
    let set = |id: &str, property: &str, value: Value| {
        let path = format!("/objects/{id}");
        command(
            "qom-set",
            json!({"path": path, "property": property, "value": value}),
        )
    };
    let get = |path: &str, property: &str| {
        command("qom-get", json!({"path": path, "property": property}))
    };
    let monitor = |line: &str| command("human-monitor-command", json!({"command-line": line}));
    vec![
        plain("query-iothreads"),
        monitor("info iothreads"),
        add(json!({"qom-type": "iothread", "id": "io0"})),
        add(
            json!({"qom-type": "iothread", "id": "io1", "poll-max-ns": 1234, "poll-grow": 3,
                   "poll-shrink": 4, "aio-max-batch": 5}),
        ),
        plain("query-iothreads"),
        monitor("info iothreads"),
        // Every mistake about an iothread.
        add(json!({"qom-type": "iothread", "id": "io0"})),
        add(json!({"qom-type": "iothread", "id": "1bad"})),
        add(json!({"qom-type": "iothread", "id": ""})),
        add(json!({"qom-type": "iothread"})),
        add(json!({"id": "x"})),
        add(json!({"qom-type": "nope", "id": "x"})),
        add(json!({"qom-type": "iothread", "id": "io2", "poll-max-ns": -1})),
        add(json!({"qom-type": "iothread", "id": "io2", "poll-max-ns": "1"})),
        add(json!({"qom-type": "iothread", "id": "io2", "aio-max-batch": -1})),
        add(json!({"qom-type": "iothread", "id": "io2", "nope": 1})),
        // Properties while it runs.
        set("io0", "poll-max-ns", json!(77)),
        set("io0", "poll-grow", json!(2)),
        set("io0", "poll-shrink", json!(9)),
        set("io0", "aio-max-batch", json!(16)),
        set("io0", "poll-max-ns", json!(-5)),
        set("io0", "poll-max-ns", json!("x")),
        set("io0", "poll-max-ns", json!(1.5)),
        set("io0", "nope", json!(1)),
        set("nope", "poll-max-ns", json!(1)),
        get("/objects/io0", "poll-max-ns"),
        get("/objects/io0", "aio-max-batch"),
        get("/objects/io1", "poll-grow"),
        get("/objects/io0", "type"),
        get("/objects/io0", "nope"),
        get("/objects/nope", "poll-max-ns"),
        plain("query-iothreads"),
        monitor("info iothreads"),
        command("qom-list", json!({"path": "/objects/nope"})),
        command("object-del", json!({"id": "nope"})),
        command("object-del", json!({"id": "io0"})),
        command("object-del", json!({"id": "io0"})),
        plain("query-iothreads"),
        command("query-iothreads", json!({"id": "x"})),
        add(json!({"qom-type": "iothread", "id": "io0"})),
        command("object-del", json!({"id": "io0"})),
        command("object-del", json!({"id": "io1"})),
        plain("query-iothreads"),
    ]
}

fn iothreads_as_qemu(qemu: &Path) -> Result<(), Failed> {
    let daemon = Server::start_iothreadd(&[]);
    let reference = Server::start_qemu(qemu, &["-machine", "none"])?;
    let mut ours = Qmp::open(daemon.socket())?;
    let mut theirs = Qmp::open(reference.socket())?;
    for (command, arguments) in script() {
        let our_reply = normalize(ours.exchange(command, &arguments)?);
        let their_reply = normalize(theirs.exchange(command, &arguments)?);
        if our_reply != their_reply {
            let text = format!("{command} {arguments}\n  QEMU: {their_reply}\n  ours: {our_reply}");
            return Err(text.into());
        }
    }
    Ok(())
}

/// Takes away what differs on purpose or by version:
///
/// - `thread-id` is another number in every process;
/// - `holders` is ours alone;
/// - `poll-weight` came with QEMU 11.1;
/// - `poll-grow` and `poll-shrink` are 2 by default since 11.1, where older ones report 0;
/// - QEMU lists threads in the order of a hash table.
fn normalize(mut reply: Value) -> Value {
    let returned = &mut reply["return"];
    match returned {
        Value::Array(threads) => {
            threads.sort_by_key(|thread| thread["id"].as_str().unwrap_or_default().to_owned());
            for thread in threads {
                let Some(thread) = thread.as_object_mut() else {
                    continue;
                };
                for member in ["thread-id", "holders", "poll-weight"] {
                    thread.remove(member);
                }
                for member in ["poll-grow", "poll-shrink"] {
                    if thread.get(member) == Some(&json!(0)) {
                        thread.insert(member.to_owned(), json!(2));
                    }
                }
            }
        }
        Value::String(text) => *text = normalize_text(text),
        _ => {}
    }
    reply
}

/// The same for the text of `info iothreads`.
fn normalize_text(text: &str) -> String {
    let mut threads: Vec<Vec<String>> = Vec::new();
    for line in text.split("\r\n") {
        let name = line
            .trim_start()
            .split(['=', ':'])
            .next()
            .unwrap_or_default();
        match name {
            "thread_id" | "thread-id" | "holders" | "poll-weight" | "" => {}
            "poll-grow" | "poll-shrink" => {
                let line = if line.ends_with("=0") {
                    line.replace("=0", "=2")
                } else {
                    line.into()
                };
                threads
                    .last_mut()
                    .into_iter()
                    .for_each(|thread| thread.push(line.clone()));
            }
            _ if line.ends_with(':') => threads.push(vec![line.to_owned()]),
            _ => threads
                .last_mut()
                .into_iter()
                .for_each(|thread| thread.push(line.to_owned())),
        }
    }
    threads.sort();
    threads.concat().join("\n")
}
