//! What exports do with the nodes that they have: where these are, and who else may use them.

use serde_json::{Value, json};

use crate::exports::{Fixture, NOBODY, holder};
use crate::harness::eventually;
use crate::nbd::{self, Nbd};

#[test]
fn an_export_without_a_thread_follows_its_node() {
    let mut it = Fixture::new();
    let node = json!([{"type": "block-node", "node-name": "n0"}]);
    let move_to = |it: &mut Fixture, thread: Value| {
        let arguments = json!({"node-name": "n0", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
    };
    move_to(&mut it, json!("io0"));
    it.export_ok("e", json!({}));
    assert_eq!(json!(it.holders()), json!([node, []]));
    let mut client = Nbd::open(&it.socket(), "e");
    for (thread, index) in [("io0", 0), ("io1", 1), ("io0", 0)] {
        move_to(&mut it, json!(thread));
        let before = it.written();
        for _ in 0..4 {
            assert_eq!(client.read(512, 65536), vec![7; 65536]);
        }
        let since = it.written_since(before, 4 * 65536);
        assert!(since[index] >= 4 * 65536, "{thread}: {since:?}");
        assert!(since[1 - index] < 65536, "{thread}: {since:?}");
    }
    move_to(&mut it, Value::Null);
    assert_eq!(it.holders(), NOBODY);
    assert_eq!(client.read(0, 512), [7; 512]);
    // The thread of a device is its own.
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n0", "iothread": "io1", "share-rw": true});
    it.client.execute("device_add", device);
    assert_eq!(client.read(0, 512), [7; 512]);
    assert_eq!(it.client.holders("io1").len(), 1);
    it.client.execute("device_del", json!({"id": "d"}));
    it.client.event();
    it.client.event();
    // That of an export is lent while it is there.
    it.export_ok("lender", json!({"iothread": "io1"}));
    let before = it.written();
    assert_eq!(client.read(0, 65536), vec![7; 65536]);
    assert!(it.written_since(before, 65536)[1] >= 65536);
    assert_eq!(it.holders(), [vec![], vec![holder("lender")]]);
    // Its borrowers leave with it, even if somebody keeps the node there.
    it.export_ok("fixed", json!({"iothread": "io1", "fixed-iothread": true}));
    it.delete("lender", "safe");
    assert_eq!(it.holders(), [vec![], vec![holder("fixed")]]);
    assert_eq!(client.read(0, 512), [7; 512]);
    it.delete("fixed", "safe");
    assert_eq!(it.holders(), NOBODY);
    it.client.execute("object-del", json!({"id": "io1"}));
    assert_eq!(client.read(0, 512), [7; 512]);
    it.delete("e", "hard");
    assert_eq!(it.client.holders("io0"), [] as [Value; 0]);
}

#[test]
fn requests_under_way_end_when_their_node_moves() {
    let mut it = Fixture::new();
    // Longer than any test may take.
    let node =
        json!({"driver": "null-co", "node-name": "slow", "latency-ns": 3_600_000_000_000_u64});
    it.client.execute("blockdev-add", node);
    let move_to = |it: &mut Fixture, thread: Value| {
        let arguments = json!({"node-name": "slow", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
    };
    move_to(&mut it, json!("io0"));
    it.export_ok("e", json!({"node-name": "slow"}));
    let mut client = Nbd::open(&it.socket(), "e");
    for (round, thread) in [json!("io1"), json!("io0"), Value::Null]
        .into_iter()
        .enumerate()
    {
        let cookies = [0, 1].map(|number| client.request(nbd::CACHE, 0, 512 * number, 512));
        // What is refused at once tells that those before it are under way.
        let refused = client.request(99, 0, 0, 0);
        assert_eq!(client.simple(), (refused, 22));
        move_to(&mut it, thread);
        let mut ended = [client.simple(), client.simple()];
        ended.sort_unstable();
        assert_eq!(ended, cookies.map(|it| (it, 0)), "round {round}");
    }
    it.delete("e", "hard");
    // The node has left with the command; what ended its requests may still be on its way out of the thread.
    eventually(|| it.holders() == NOBODY);
}

#[test]
fn a_node_inside_of_another_stays_as_long_as_it_is_used() {
    let mut it = Fixture::new();
    let names = |it: &mut Fixture| {
        let nodes = it.client.execute("query-named-block-nodes", json!({}));
        let nodes = nodes.as_array().unwrap().iter();
        nodes.map(|it| it["node-name"].clone()).collect::<Vec<_>>()
    };
    let file = json!({"driver": "file", "node-name": "inner", "filename": it.image});
    let outer = json!({"driver": "raw", "node-name": "outer", "file": file});
    let deletion = json!({"node-name": "outer"});
    it.client.execute("blockdev-add", outer.clone());
    it.export_ok("e", json!({"node-name": "inner", "iothread": "io0"}));
    it.export_ok("f", json!({"node-name": "inner"}));
    it.client.execute("blockdev-del", deletion.clone());
    assert_eq!(names(&mut it), ["inner", "n0"]);
    assert_eq!(
        it.client.error("blockdev-add", outer.clone()),
        "Duplicate nodes with node-name='inner'"
    );
    it.delete("e", "safe");
    assert_eq!(Nbd::open(&it.socket(), "f").read(0, 4), [7; 4]);
    it.delete("f", "hard");
    assert_eq!(names(&mut it), ["n0"]);
    assert_eq!(it.holders(), NOBODY);
    // With a device as the user, and a node below that was there before.
    let middle = json!({"driver": "raw", "node-name": "inner", "file": "n0"});
    let outer = json!({"driver": "raw", "node-name": "outer", "file": middle});
    it.client.execute("blockdev-add", outer);
    let device =
        json!({"driver": "virtio-blk-pci", "id": "d", "drive": "inner", "iothread": "io1"});
    it.client.execute("device_add", device);
    it.client.execute("blockdev-del", deletion);
    assert_eq!(names(&mut it), ["inner", "n0"]);
    it.client.execute("device_del", json!({"id": "d"}));
    it.client.event();
    it.client.event();
    assert_eq!(names(&mut it), ["n0"]);
    assert_eq!(it.holders(), NOBODY);
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
    eventually(|| !it.has_image_open());
}

#[test]
fn nodes_of_exports_cannot_be_deleted() {
    let mut it = Fixture::new();
    let raw = json!({"driver": "raw", "node-name": "r0", "file": "n0"});
    it.client.execute("blockdev-add", raw);
    it.export_ok("e", json!({"node-name": "r0", "iothread": "io0"}));
    let mut delete = |node: &str| it.client.error("blockdev-del", json!({"node-name": node}));
    assert_eq!(delete("r0"), "Node r0 is in use");
    assert_eq!(delete("n0"), "Block device n0 is in use");
    let moved = json!({"node-name": "r0", "iothread": "io1"});
    assert_eq!(
        it.client.error("x-blockdev-set-iothread", moved),
        "Node r0 is associated with a BlockBackend and could be in use (use force=true to override this check)"
    );
}

#[test]
fn a_refused_move_still_exports_and_holds() {
    let mut it = Fixture::new();
    it.export_ok("fixed", json!({"iothread": "io0", "fixed-iothread": true}));
    it.export_ok("loose", json!({"iothread": "io1"}));
    assert_eq!(it.holders(), [vec![holder("fixed")], vec![holder("loose")]]);
    let before = it.written();
    let mut client = Nbd::open(&it.socket(), "loose");
    assert_eq!(client.read(4096, 8192), vec![7; 8192]);
    let since = it.written_since(before, 8192);
    assert!(since[1] >= 8192 && since[0] < 8192, "{since:?}");
}

#[test]
fn what_fails_activates_no_node() {
    let mut it = Fixture::new();
    let mut other = Fixture::new();
    let file = json!({"driver": "file", "node-name": "n1", "filename": it.image, "active": false});
    it.client.execute("blockdev-add", file);
    let raw = json!({"driver": "raw", "node-name": "r1", "file": "n1", "active": false});
    it.client.execute("blockdev-add", raw);
    let node = json!({"driver": "file", "node-name": "n1", "filename": it.image});
    other.client.execute("blockdev-add", node);
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n1"});
    other.client.execute("device_add", device.clone());
    let activity = |it: &mut Fixture| {
        let nodes = it.client.execute("query-named-block-nodes", json!({}));
        let nodes = nodes.as_array().unwrap().iter();
        let activity = nodes.map(|node| (node["node-name"].clone(), node["active"].clone()));
        activity.filter(|it| it.0 != "n0").collect::<Vec<_>>()
    };
    let is_active = |active: bool| ["r1", "n1"].map(|name| (json!(name), json!(active)));
    let writable = json!({"node-name": "r1", "writable": true});
    for place in [Value::Null, json!("io0")] {
        let mut options = writable.clone();
        if !place.is_null() {
            options["iothread"] = place;
        }
        assert_eq!(
            it.export_error("e", options),
            "Failed to get \"write\" lock"
        );
        assert_eq!(activity(&mut it), is_active(false));
        assert_eq!(it.holders(), NOBODY);
    }
    // The user that puts up with an inactive node has no locks that would keep the other process from anything.
    it.export_ok(
        "patient",
        json!({"node-name": "r1", "writable": true, "allow-inactive": true}),
    );
    assert_eq!(
        it.export_error("e", writable.clone()),
        "Failed to get \"write\" lock"
    );
    assert_eq!(activity(&mut it), is_active(false));
    other.client.execute("device_del", json!({"id": "d"}));
    other.client.event();
    other.client.event();
    other.client.execute("device_add", device);
    other.client.execute("device_del", json!({"id": "d"}));
    other.client.event();
    other.client.event();
    it.export_ok("e", writable);
    assert_eq!(activity(&mut it), is_active(true));
}

#[test]
fn another_process_is_kept_off() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"writable": true}));
    let mut other = Fixture::new();
    let node = json!({"driver": "file", "node-name": "n1", "filename": it.image});
    other.client.execute("blockdev-add", node);
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n1", "iothread": "io0"});
    assert_eq!(
        other.client.error("device_add", device.clone()),
        "Failed to get shared \"write\" lock"
    );
    assert_eq!(other.holders(), NOBODY);
    // Exports share.
    other.export_ok("e", json!({"node-name": "n1", "writable": true}));
    other.delete("e", "safe");
    it.delete("e", "safe");
    other.client.execute("device_add", device);
    assert_eq!(
        it.export_error("e", json!({"writable": true, "iothread": "io0"})),
        "Failed to get \"write\" lock"
    );
    assert_eq!(it.holders(), NOBODY);
}

#[test]
fn read_only_and_writable_users_are_told_apart() {
    let mut it = Fixture::new();
    let read_only =
        json!({"driver": "file", "node-name": "ro", "filename": it.image, "read-only": true});
    it.client.execute("blockdev-add", read_only);
    assert_eq!(
        it.export_error(
            "e",
            json!({"node-name": "ro", "writable": true, "iothread": "io0"})
        ),
        "Cannot export read-only node as writable"
    );
    assert_eq!(it.holders(), NOBODY);
    it.export_ok("ro", json!({"node-name": "ro"}));
    it.export_ok("rw", json!({"writable": true}));
    let device = |id: &str, more: Value| {
        let mut device = json!({"driver": "virtio-blk-pci", "id": id, "drive": "n0"});
        for (name, value) in more.as_object().unwrap() {
            device[name] = value.clone();
        }
        device
    };
    assert_eq!(
        it.client.error("device_add", device("d", json!({}))),
        "Permission conflict on node 'n0': permissions 'write' are both required by an unnamed block device (uses \
         node 'n0' as 'root' child) and unshared by block device '/machine/peripheral/d/virtio-backend' (uses node \
         'n0' as 'root' child)."
    );
    it.delete("rw", "safe");
    // The other node of the same image is another open file, which the locks on the image know.
    it.client.execute("device_add", device("d", json!({})));
    assert_eq!(
        it.export_error("rw", json!({"writable": true, "iothread": "io0"})),
        "Permission conflict on node 'n0': permissions 'write' are both required by an unnamed block device (uses \
         node 'n0' as 'root' child) and unshared by block device '/machine/peripheral/d/virtio-backend' (uses node \
         'n0' as 'root' child)."
    );
    assert_eq!(it.holders(), NOBODY);
}
