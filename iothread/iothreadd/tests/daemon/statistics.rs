//! How much is asked of devices and nodes, and how long that takes.

use serde_json::{Value, json};

use crate::harness::{Server, eventually};
use crate::nbd::{FLUSH, Nbd, TRIM, WRITE_ZEROES};

fn numbers(stats: &Value, names: &[&str]) -> Vec<u64> {
    let number = |name: &&str| stats[*name].as_u64().unwrap();
    names.iter().map(number).collect()
}

#[test]
fn requests_of_exports_are_counted_for_their_node() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 1 << 20]).unwrap();
    let raw = json!({
        "driver": "raw", "node-name": "r", "offset": 4096, "discard": "unmap",
        "file": {"driver": "file", "node-name": "f", "filename": image},
    });
    client.execute("blockdev-add", raw);
    let path = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": path}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "r", "writable": true, "iothread": "io0"});
    client.execute("block-export-add", export);
    let mut load = || {
        let nodes = client.execute("query-blockstats", json!({"query-nodes": true}));
        (nodes[0].clone(), nodes[1].clone())
    };
    let (below, top) = load();
    assert_eq!(
        (&below["node-name"], &top["node-name"]),
        (&json!("f"), &json!("r"))
    );
    assert_eq!(top["stats"].get("idle_time_ns"), None);
    let mut nbd = Nbd::open(&path, "e");
    nbd.read(0, 4096);
    nbd.read(512, 1024);
    nbd.write(8192, &[1; 2048]);
    for (command, length) in [(WRITE_ZEROES, 512), (TRIM, 8192), (FLUSH, 0)] {
        assert_eq!(
            nbd.exchange(command, 0, 16384 * u64::from(length.min(1)), length),
            0
        );
    }
    let (below, top) = load();
    let stats = &top["stats"];
    let counts = [
        "rd_operations",
        "rd_bytes",
        "wr_operations",
        "wr_bytes",
        "flush_operations",
        "unmap_operations",
        "unmap_bytes",
        "wr_highest_offset",
        "failed_rd_operations",
    ];
    assert_eq!(
        numbers(stats, &counts),
        [2, 5120, 2, 2560, 1, 1, 8192, 16896, 0]
    );
    for name in ["rd", "wr", "flush", "unmap"] {
        let time = stats[format!("{name}_total_time_ns")].as_u64().unwrap();
        assert!(time > 0, "{name}: {stats}");
    }
    assert!(stats["idle_time_ns"].is_u64());
    assert_eq!(stats["timed_stats"], json!([]));
    assert_eq!(stats["account_failed"], false);
    // Nobody uses the node below by itself, and it is where the file is.
    assert_eq!(top["parent"], below);
    let stats = &below["stats"];
    assert_eq!(numbers(stats, &counts), [0, 0, 0, 0, 0, 0, 0, 20992, 0]);
    let discards = json!({
        "driver": "file", "discard-nb-ok": 1, "discard-nb-failed": 0, "discard-bytes-ok": 8192,
    });
    assert_eq!(below["driver-specific"], discards);
    assert_eq!(top.get("driver-specific"), None);
    // What was counted stays when the export goes.
    client.execute("block-export-del", json!({"id": "e", "mode": "hard"}));
    client.event();
    let nodes = client.execute("query-blockstats", json!({"query-nodes": true}));
    assert_eq!(numbers(&nodes[1]["stats"], &counts[..2]), [2, 5120]);
    // Exports are not devices.
    assert_eq!(client.execute("query-blockstats", json!({})), json!([]));
}

#[test]
fn latency_is_what_requests_take() {
    const LATENCY: u64 = 20_000_000;
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    let node = json!({"driver": "null-co", "node-name": "n", "latency-ns": LATENCY, "size": 4096});
    client.execute("blockdev-add", node);
    client.execute(
        "device_add",
        json!({"driver": "virtio-scsi-pci", "id": "s"}),
    );
    client.execute("device_add", json!({"driver": "scsi-cd", "id": "empty"}));
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n", "iothread": "io0"});
    client.execute("device_add", device);
    let devices = client.execute("query-blockstats", json!({}));
    assert_eq!(devices[0]["qdev"], "empty");
    assert_eq!(devices[0].get("node-name"), None);
    let of_disk = &devices[1];
    assert_eq!(of_disk["qdev"], "/machine/peripheral/d/virtio-backend");
    assert_eq!(
        (&of_disk["device"], &of_disk["node-name"]),
        (&json!(""), &json!("n"))
    );
    assert_eq!(of_disk["stats"]["account_failed"], true);
    let notify = json!({
        "path": "/machine/peripheral/d/virtio-backend", "property": "x-notify", "value": 0,
    });
    client.execute("qom-set", notify);
    let mut stats = Value::Null;
    eventually(|| {
        stats = client.execute("query-blockstats", json!({}))[1]["stats"].clone();
        stats["rd_operations"] == 1
    });
    assert_eq!(stats["rd_bytes"], 4096);
    assert!(
        stats["rd_total_time_ns"].as_u64().unwrap() >= LATENCY,
        "{stats}"
    );
    let shown = client.execute(
        "human-monitor-command",
        json!({"command-line": "info blockstats"}),
    );
    let shown = shown.as_str().unwrap();
    let of_empty = ": rd_bytes=0 wr_bytes=0 rd_operations=0 wr_operations=0 flush_operations=0 \
                    wr_total_time_ns=0 rd_total_time_ns=0 flush_total_time_ns=0 rd_merged=0 \
                    wr_merged=0 idle_time_ns=0\r\n";
    assert!(shown.starts_with(of_empty), "{shown}");
    let of_disk = ": rd_bytes=4096 wr_bytes=0 rd_operations=1 ";
    assert!(shown[of_empty.len()..].starts_with(of_disk), "{shown}");
}
