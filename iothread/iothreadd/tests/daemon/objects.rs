//! Objects: creation, properties, deletion.

use serde_json::{Value, json};

use crate::harness::{Server, run};

#[test]
fn the_tree_shows_what_there_is() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    let root = client.execute("qom-list", json!({"path": "/"}));
    assert!(
        root.as_array()
            .unwrap()
            .contains(&json!({"name": "objects", "type": "child<container>"}))
    );
    assert_eq!(
        client.execute("qom-list", json!({"path": "/objects"})),
        json!([
            {"name": "type", "type": "string"},
            {"name": "io0", "type": "child<iothread>"},
            {"name": "compat_monitor0", "type": "child<monitor-qmp>"},
        ])
    );
    for path in ["/objects/io0", "//objects//io0", "io0", "objects/io0"] {
        let get = json!({"path": path, "property": "type"});
        assert_eq!(client.execute("qom-get", get), "iothread");
    }
    let get = json!({"path": "/objects", "property": "io0"});
    assert_eq!(client.execute("qom-get", get), "/objects/io0");
    assert_eq!(
        client.error("qom-list", json!({"path": ""})),
        "Path '' is ambiguous"
    );
    assert_eq!(
        client.error("qom-list", json!({"path": "x"})),
        "Device 'x' not found"
    );
    let nope = client.error("qom-list-properties", json!({"typename": "nope"}));
    assert_eq!(nope, "Class 'nope' not found");
    let listed = client.execute("qom-list-properties", json!({"typename": "iothread"}));
    assert!(
        listed
            .as_array()
            .unwrap()
            .contains(&json!({"name": "poll-weight", "type": "int"}))
    );
}

#[test]
fn the_main_loop_is_an_object() {
    let server = Server::start(&["--object", "main-loop,id=ml,thread-pool-max=8"]);
    let mut client = server.client();
    let get = json!({"path": "/objects/ml", "property": "thread-pool-max"});
    assert_eq!(client.execute("qom-get", get), 8);
    let second = json!({"qom-type": "main-loop", "id": "other"});
    assert_eq!(
        client.error("object-add", second),
        "only one main-loop instance allowed"
    );
    assert_eq!(
        client.error("object-del", json!({"id": "ml"})),
        "Deleting main loop 'ml' is not supported"
    );
    let duplicate = json!({"qom-type": "iothread", "id": "ml"});
    assert_eq!(
        client.error("object-add", duplicate),
        "attempt to add duplicate property 'ml' to object (type 'container')"
    );
}

#[test]
fn properties_that_cannot_be_set() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    for (property, value, text) in [
        (
            "type",
            json!("x"),
            "Property 'iothread.type' is not writable",
        ),
        ("nope", json!(1), "Property 'iothread.nope' not found"),
        (
            "thread-pool-min",
            json!(100),
            "bad thread-pool-min/thread-pool-max values",
        ),
        (
            "poll-grow",
            json!(1.5),
            "Invalid parameter type for 'poll-grow', expected: integer",
        ),
        (
            "poll-grow",
            Value::Null,
            "Invalid parameter type for 'poll-grow', expected: integer",
        ),
    ] {
        let set = json!({"path": "/objects/io0", "property": property, "value": value});
        assert_eq!(client.error("qom-set", set), text);
    }
}

#[test]
fn objects_of_the_command_line() {
    let options = [
        "iothread,id=io0,poll-max-ns=0x10",
        r#"{"qom-type": "iothread", "id": "io1", "poll-weight": 5}"#,
    ];
    let server = Server::start(&["--object", options[0], "--object", options[1]]);
    let threads = server.client().execute("query-iothreads", json!({}));
    assert_eq!(threads[0]["poll-max-ns"], 16);
    assert_eq!(threads[1]["poll-weight"], 5);
    for (option, text) in [
        (
            "iothread,id=1x",
            "--object iothread,id=1x: Parameter 'id' expects an identifier\n\
             Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
        ),
        (
            "iothread,id=x,foo=1",
            "--object iothread,id=x,foo=1: Invalid parameter 'foo'",
        ),
        // What is well described and cannot be made is told without the option, as in QEMU.
        (
            "iothread,id=x,poll-max-ns=-1",
            "poll-max-ns value must be in range [0, 9223372036854775807]",
        ),
        (
            "iothread,id=x,poll-weight=64",
            "poll-weight value must be in range [0, 63]",
        ),
    ] {
        let output = run(&["--object", option], b"");
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message, format!("iothreadd: {text}\n"));
    }
    let help = run(&["--object", "help"], b"");
    assert_eq!(help.status.code(), Some(0));
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("  iothread\n")
    );
}

/// As in QEMU, where the place of the only balloon is taken before the IOThread is missed.
#[test]
fn a_balloon_without_its_iothread_is_refused_and_keeps_its_place() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    for thread in [json!(null), json!("")] {
        let server = Server::start(&[]);
        let mut balloon = json!({"driver": "virtio-balloon-pci", "free-page-hint": true});
        if thread.is_string() {
            balloon["iothread"] = thread;
        }
        let mut client = server.client();
        assert_eq!(
            client.error("device_add", balloon),
            "'free-page-hint' requires 'iothread' to be set"
        );
        let good = json!({"driver": "virtio-balloon-pci"});
        assert_eq!(
            client.error("device_add", good),
            "Only one balloon device is supported"
        );
    }
    client.execute("device_add", json!({"driver": "virtio-balloon-pci"}));
}

#[test]
fn values_that_stand_for_defaults_read_back_as_them() {
    let server = Server::start(&["--object", "iothread,id=io0,poll-grow=0,poll-weight=63"]);
    let mut client = server.client();
    for (property, value) in [("poll-grow", 2), ("poll-shrink", 2), ("poll-weight", 3)] {
        let set = json!({"path": "/objects/io0", "property": property, "value": 0});
        client.execute("qom-set", set);
        let get = json!({"path": "/objects/io0", "property": property});
        assert_eq!(client.execute("qom-get", get), value);
    }
    for value in [-1, 64] {
        let set = json!({"path": "/objects/io0", "property": "poll-weight", "value": value});
        assert_eq!(
            client.error("qom-set", set),
            "poll-weight value must be in range [0, 63]"
        );
    }
}
