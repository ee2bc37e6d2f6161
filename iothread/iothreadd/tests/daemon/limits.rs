//! Limits of the host, and values beyond all reason.

use std::io::Write;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::harness::{Server, run};
use crate::nbd::{Nbd, WRITE, WRITE_ZEROES};

const MIB: u64 = 1 << 20;

/// What lies beyond the limit of a file's size cannot be written, which ends no process.
#[test]
fn a_limit_of_the_size_of_files_is_an_error_of_the_request() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(4 * MIB).unwrap();
    let limit = Rlimit {
        current: Some(MIB),
        maximum: Some(MIB),
    };
    let pid = Pid::from_raw(server.id().cast_signed());
    prlimit(pid, Resource::Fsize, limit).unwrap();
    let node = json!({"driver": "file", "node-name": "n0", "filename": image});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export =
        json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&socket, "e");
    // The protocol has no number for EFBIG, and QEMU takes that of a full device for it.
    const ENOSPC: u32 = 28;
    nbd.request(WRITE, 0, 2 * MIB, 4096);
    nbd.send(&[1; 4096]);
    assert_eq!(nbd.simple().1, ENOSPC);
    nbd.request(WRITE, 0, 0, 4096);
    nbd.send(&[1; 4096]);
    assert_eq!(nbd.simple().1, 0);
    nbd.request(WRITE_ZEROES, 0, 4 * MIB - 4096, 4096);
    nbd.simple();
    assert_eq!(client.execute("query-name", json!({})), json!({}));
}

/// The most memory that the server has had, in bytes.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() * 1024
}

/// Sessions share their memory: what is too much is refused, and nobody else notices.
#[test]
fn sessions_share_their_memory() {
    let server = Server::start(&["--limit", "qmp=2M"]);
    let before = peak(&server);
    let mut greedy: Vec<_> = (0..4).map(|_| server.client()).collect();
    let writers: Vec<_> = greedy
        .iter()
        .map(|client| {
            let mut stream = client.stream().try_clone().unwrap();
            std::thread::spawn(move || {
                stream
                    .write_all(br#"{"execute": "query-name", "arguments": {"x": ""#)
                    .unwrap();
                stream.write_all(&vec![b'x'; 16 << 20]).unwrap();
                stream.write_all(br#""}}"#).unwrap();
            })
        })
        .collect();
    let mut modest = server.client();
    for _ in 0..100 {
        assert_eq!(modest.execute("query-name", json!({})), json!({}));
    }
    for client in &mut greedy {
        let error = client.reply()["error"]["desc"].clone();
        assert_eq!(error, "JSON token size limit exceeded");
    }
    for writer in writers {
        writer.join().unwrap();
    }
    // They go on.
    for client in &mut greedy {
        assert_eq!(client.execute("query-name", json!({})), json!({}));
    }
    assert!(peak(&server) - before < 32 * MIB, "{}", peak(&server));
}

/// A number of workers as large as QEMU accepts does not start them.
#[test]
fn any_number_of_workers_is_accepted() {
    let most = i64::from(i32::MAX);
    let server = Server::start(&[
        "--object",
        "iothread,id=io0,thread-pool-min=2147483647,thread-pool-max=2147483647",
        "--object",
        "main-loop,id=ml,thread-pool-min=2147483647,thread-pool-max=2147483647",
    ]);
    let mut client = server.client();
    let object = json!({"qom-type": "iothread", "id": "io1", "thread-pool-min": most, "thread-pool-max": most});
    client.execute("object-add", object);
    for id in ["io0", "io1", "ml"] {
        let path = format!("/objects/{id}");
        for property in ["thread-pool-min", "thread-pool-max"] {
            let get = json!({"path": path, "property": property});
            assert_eq!(client.execute("qom-get", get), most, "{path} {property}");
        }
        let mut set = |property: &str, value: i64| {
            let set = json!({"path": path, "property": property, "value": value});
            client.exchange("qom-set", set)
        };
        let bad = "bad thread-pool-min/thread-pool-max values";
        assert_eq!(set("thread-pool-max", most + 1)["error"]["desc"], bad);
        assert_eq!(set("thread-pool-max", 0)["error"]["desc"], bad);
        for (property, value) in [
            ("thread-pool-min", 7),
            ("thread-pool-max", 8),
            ("thread-pool-max", most),
        ] {
            assert_eq!(set(property, value), json!({"return": {}}));
        }
        let get = json!({"path": path, "property": "thread-pool-min"});
        assert_eq!(client.execute("qom-get", get), 7);
    }
    // Work is done nevertheless, and by a few threads.
    assert_eq!(client.execute("query-block", json!({})), json!([]));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    assert!(tasks.count() < 100);
    let line = json!({"command-line": "qom-get /objects/io0 thread-pool-max"});
    assert_eq!(
        client.execute("human-monitor-command", line),
        format!("{most}\r\n")
    );
}

/// Options of any length and size are refused or carried out, and never end in a panic.
#[test]
fn absurd_options_are_refused() {
    let long = "x".repeat(1 << 16);
    let options = [
        ("--object", format!("iothread,id={long}=")),
        ("--object", format!("{long},id=x")),
        (
            "--object",
            format!("iothread,id=x,poll-max-ns={}", "9".repeat(40_000)),
        ),
        (
            "--object",
            "iothread,id=x,thread-pool-max=2147483648".to_owned(),
        ),
        ("--object", "iothread,id=x,thread-pool-min=-1".to_owned()),
        (
            "--object",
            format!(
                "{{\"qom-type\": \"iothread\", \"id\": {}",
                "[".repeat(60_000)
            ),
        ),
        ("--device", format!("virtio-scsi-pci,id={long} ")),
        ("--device", format!("{long},id=x")),
        (
            "--device",
            "virtio-blk-pci,drive=n,num-queues=99999999999999999999".to_owned(),
        ),
        ("--device", format!("virtio-blk-pci,drive={long}")),
        (
            "--device",
            format!("{{\"driver\": {}", "{\"a\":".repeat(20_000)),
        ),
        ("--chardev", "ringbuf,id=r,size=8E".to_owned()),
        (
            "--chardev",
            format!("socket,id=s,path={long},server=on,wait=off"),
        ),
        ("--blockdev", format!("null-co,node-name={long}=")),
        (
            "--blockdev",
            "null-co,node-name=n,size=99999999999999999999".to_owned(),
        ),
        ("--limit", format!("qmp={}", "9".repeat(60_000))),
        ("--qmp", format!("unix:{long}")),
        ("--qmp", format!("tcp:{long}:1")),
    ];
    for (option, value) in options {
        let output = run(&[option, &value], b"");
        let code = output.status.code();
        assert!(
            matches!(code, Some(1 | 2)),
            "{option} {value:.60}: {code:?}"
        );
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.contains("panicked"), "{option} {value:.60}");
    }
}
