//! What event loops do with their time.

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};
use crate::nbd::Nbd;

fn stats(client: &mut Client, id: &str) -> Value {
    let all = client.execute("x-query-iothread-stats", json!({}));
    let threads = all.as_array().unwrap();
    threads.iter().find(|it| it["id"] == id).unwrap().clone()
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap()
}

#[test]
fn loops_tell_what_they_have_done() {
    let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
    let mut client = server.client();
    let all = client.execute("x-query-iothread-stats", json!({}));
    let named: Vec<_> = all.as_array().unwrap().iter().collect();
    let named: Vec<_> = named
        .iter()
        .map(|it| (&it["id"], &it["internal"]))
        .collect();
    let expected = [("io0", false), ("io1", false), ("mon_iothread", true)];
    let expected = expected.map(|(id, internal)| (json!(id), json!(internal)));
    assert_eq!(
        named,
        expected.each_ref().map(|(id, internal)| (id, internal))
    );
    let listed = client.execute("query-iothreads", json!({}));
    assert_eq!(all[0]["thread-id"], listed[0]["thread-id"]);

    // One that sleeps is seen to.
    eventually(|| {
        let (before, now) = (stats(&mut client, "io1"), stats(&mut client, "io1"));
        before["iterations"] == now["iterations"]
            && before["dispatching-ns"] == now["dispatching-ns"]
            && number(&before, "blocked-ns") < number(&now, "blocked-ns")
    });

    client.add_node("n0");
    let path = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": path}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export =
        json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "iothread": "io0"});
    client.execute("block-export-add", export);
    let before = stats(&mut client, "io0");
    let mut nbd = Nbd::open(&path, "e");
    for _ in 0..100 {
        nbd.read(0, 512);
    }
    let now = stats(&mut client, "io0");
    for name in ["dispatching-ns", "blocked-ns", "iterations", "fd-events"] {
        assert!(number(&now, name) > number(&before, name), "{name}: {now}");
    }
    assert!(number(&now, "fds") > 0);
    assert_eq!(number(&now, "panics"), 0);
}

#[test]
fn loops_that_may_not_poll_do_not() {
    let server = Server::start(&["--object", "iothread,id=io0,poll-max-ns=0"]);
    let mut client = server.client();
    let now = stats(&mut client, "io0");
    for name in ["poll-hits", "poll-misses", "poll-ns"] {
        assert_eq!(number(&now, name), 0, "{name}: {now}");
    }
}
