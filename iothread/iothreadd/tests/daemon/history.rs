//! What has changed among the holders of IOThreads, and the event about it.

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};

const EVENT: [&str; 2] = ["--event", "IOTHREAD_HOLDERS_CHANGED"];

fn history(client: &mut Client, since: Option<u64>) -> Value {
    let arguments = since.map_or_else(|| json!({}), |since| json!({"since": since}));
    client.execute("x-query-iothread-history", arguments)
}

/// The changes, without numbers and times.
fn changes(history: &Value) -> Vec<Value> {
    let mut changes = history["changes"].as_array().unwrap().clone();
    for change in &mut changes {
        let change = change.as_object_mut().unwrap();
        for name in ["sequence", "time-us"] {
            assert!(change.remove(name).unwrap().as_u64().unwrap() > 0);
        }
    }
    changes
}

fn node(name: &str) -> Value {
    json!({"type": "block-node", "node-name": name})
}

fn set_iothread(client: &mut Client, name: &str, iothread: Value) {
    let arguments = json!({"node-name": name, "iothread": iothread});
    client.execute("x-blockdev-set-iothread", arguments);
}

fn start(more: &[&str]) -> (Server, Client) {
    let fixed = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let server = Server::start(&[&fixed[..], more].concat());
    let client = server.client();
    (server, client)
}

#[test]
fn changes_are_told_with_their_reason() {
    let device = "virtio-blk-pci,id=b0,drive=d0,iothread=io1";
    let node_of_device = "null-co,node-name=d0";
    let (_server, mut client) = start(&["--blockdev", node_of_device, "--device", device]);
    let made = history(&mut client, None);
    let disk = json!({"type": "qom-object", "qom-path": "/machine/peripheral/b0/virtio-backend"});
    assert_eq!(
        changes(&made),
        [json!({"iothread": "io1", "change": "attached", "holder": disk, "by": "command-line"})]
    );
    assert_eq!(made["gap"], json!(false));

    client.add_node("n0");
    set_iothread(&mut client, "n0", json!("io0"));
    set_iothread(&mut client, "n0", json!("io1"));
    set_iothread(&mut client, "n0", Value::Null);
    // The device goes later than its command is over.
    client.execute("device_del", json!({"id": "b0"}));
    while client.event()["data"]["device"] != json!("b0") {}
    let since = made["sequence"].as_u64();
    let now = history(&mut client, since);
    let by = "x-blockdev-set-iothread";
    let mut expected = vec![
        json!({"iothread": "io0", "change": "attached", "holder": node("n0"), "by": by}),
        json!({"iothread": "io1", "change": "moved-here", "other-iothread": "io0", "holder": node("n0"), "by": by}),
        json!({"iothread": "io0", "change": "moved-away", "other-iothread": "io1", "holder": node("n0"), "by": by}),
        json!({"iothread": "io1", "change": "detached", "holder": node("n0"), "by": by}),
        json!({"iothread": "io1", "change": "detached", "holder": disk, "by": "device_del"}),
    ];
    let mut told = changes(&now);
    // Which of the two comes first is the server's choice.
    for changes in [&mut expected, &mut told] {
        changes[1..3].sort_by_key(|it| it["change"].to_string());
    }
    assert_eq!(told, expected);
    let sequences: Vec<_> = now["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["sequence"].as_u64())
        .collect();
    let first = since.unwrap() + 1;
    assert_eq!(sequences, (first..first + 5).map(Some).collect::<Vec<_>>());
    assert_eq!(now["sequence"].as_u64(), Some(first + 4));

    let nothing = history(&mut client, now["sequence"].as_u64());
    assert_eq!(
        (changes(&nothing), &nothing["gap"]),
        (vec![], &json!(false))
    );
    // As after a new start of the server.
    assert_eq!(history(&mut client, Some(1_000_000))["gap"], json!(true));
    let error = client.error("x-query-iothread-history", json!({"since": "x"}));
    assert!(error.contains("since"), "{error}");
}

#[test]
fn what_is_forgotten_is_a_gap() {
    let (_server, mut client) = start(&[]);
    client.add_node("n0");
    for _ in 0..520 {
        set_iothread(&mut client, "n0", json!("io0"));
        set_iothread(&mut client, "n0", Value::Null);
    }
    let all = history(&mut client, None);
    assert_eq!(
        (&all["sequence"], &all["gap"]),
        (&json!(1_040), &json!(true))
    );
    assert_eq!(all["changes"].as_array().unwrap().len(), 1_024);
    let rest = history(&mut client, Some(16));
    assert_eq!(rest["gap"], json!(false));
    assert_eq!(rest["changes"].as_array().unwrap().len(), 1_024);
}

#[test]
fn the_event_is_sent_if_it_is_asked_for() {
    let (_server, mut client) = start(&[]);
    client.add_node("n0");
    set_iothread(&mut client, "n0", json!("io0"));
    // Nothing is on its way, as this one would come after it.
    client.execute(
        "device_add",
        json!({"driver": "virtio-balloon-pci", "id": "b0"}),
    );
    client.execute("device_del", json!({"id": "b0"}));
    assert_eq!(client.event()["event"], "DEVICE_DELETED");

    let (_server, mut client) = start(&EVENT);
    client.add_node("n0");
    set_iothread(&mut client, "n0", json!("io0"));
    let event = client.event();
    assert_eq!(event["event"], "IOTHREAD_HOLDERS_CHANGED");
    let last = history(&mut client, None)["sequence"].clone();
    assert_eq!(event["data"], json!({"iothread": "io0", "sequence": last}));
    let hidden = "unstable-output=hide";
    let (_server, mut client) = start(&[&EVENT[..], &["--compat", hidden]].concat());
    client.add_node("n0");
    set_iothread(&mut client, "n0", json!("io0"));
    client.execute(
        "device_add",
        json!({"driver": "virtio-balloon-pci", "id": "b0"}),
    );
    client.execute("device_del", json!({"id": "b0"}));
    assert_eq!(client.event()["event"], "DEVICE_DELETED");
}

/// Of many changes of a thread in a second the first and the last are told, and those of another thread are told apart.
#[test]
fn the_event_is_limited_for_each_thread() {
    let (_server, mut client) = start(&EVENT);
    client.add_node("n0");
    client.add_node("n1");
    for _ in 0..100 {
        set_iothread(&mut client, "n0", json!("io0"));
        set_iothread(&mut client, "n0", Value::Null);
    }
    set_iothread(&mut client, "n1", json!("io1"));
    let last = history(&mut client, None);
    let of_thread = |id: &str| {
        let changes = last["changes"].as_array().unwrap().iter();
        let mut of_it = changes.filter(|it| it["iothread"] == id);
        of_it.next_back().unwrap()["sequence"].clone()
    };
    let (mut n_events, mut ends) = (0, [false; 2]);
    eventually(|| {
        let event = client.event();
        assert_eq!(event["event"], "IOTHREAD_HOLDERS_CHANGED");
        n_events += 1;
        for (end, id) in ends.iter_mut().zip(["io0", "io1"]) {
            *end |= event["data"] == json!({"iothread": id, "sequence": of_thread(id)});
        }
        ends == [true; 2]
    });
    // One a second, however long the commands took; there were 201 changes.
    assert!(n_events < 100, "{n_events}");
}
