//! Comparisons of packets, with peers on real sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, eventually, send_without_reading};

const DEVICES: [&str; 4] = ["pri", "sec", "out", "note"];

/// A frame with a packet of UDP, as QEMU's filters send it.
fn frame(port: u8, payload: &[u8], header: Option<&[u8]>) -> Vec<u8> {
    let mut packet = header.unwrap_or_default().to_vec();
    packet.extend_from_slice(&[0; 12]);
    let total = u16::try_from(28 + payload.len()).unwrap().to_be_bytes();
    packet.extend_from_slice(&[8, 0, 0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, port, 0, 0, 0, 0]);
    packet.extend_from_slice(payload);
    message(&packet, header.map(<[u8]>::len))
}

fn message(data: &[u8], header: Option<usize>) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = number(data.len()).to_vec();
    bytes.extend(header.into_iter().flat_map(number));
    bytes.extend_from_slice(data);
    bytes
}

struct Peers {
    server: Server,
    client: Client,
    streams: Vec<UnixStream>,
}

impl Peers {
    /// A comparison with a peer on each of its devices.
    fn start(more: Value) -> Self {
        Self::start_with(&[], more)
    }

    /// The same, with more options.
    fn start_with(options: &[&str], more: Value) -> Self {
        let server = Server::start(&[&["--object", "iothread,id=io0"], options].concat());
        let mut client = server.client();
        for id in DEVICES {
            let path = server.folder().join(id);
            let addr = json!({"type": "unix", "data": {"path": path}});
            let backend = json!({"type": "socket", "data": {"addr": addr}});
            client.execute("chardev-add", json!({"id": id, "backend": backend}));
        }
        client.execute("object-add", comparison(more));
        let mut streams = Vec::new();
        for id in DEVICES {
            let stream = UnixStream::connect(server.folder().join(id)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            streams.push(stream);
        }
        let mut peers = Self {
            server,
            client,
            streams,
        };
        // What is let through without a peer there is lost.
        eventually(|| peers.counts()["peers"] == 4);
        peers
    }

    fn get(&mut self, property: &str) -> Value {
        let arguments = json!({"path": "/objects/cmp", "property": property});
        self.client.execute("qom-get", arguments)
    }

    fn counts(&mut self) -> Value {
        self.get("x-counts")
    }

    fn send(&mut self, id: &str, bytes: &[u8]) {
        let index = DEVICES.iter().position(|it| *it == id).unwrap();
        self.streams[index].write_all(bytes).unwrap();
    }

    /// What has to come next.
    fn expect(&mut self, id: &str, bytes: &[u8]) {
        let index = DEVICES.iter().position(|it| *it == id).unwrap();
        let mut received = vec![0; bytes.len()];
        self.streams[index].read_exact(&mut received).unwrap();
        assert_eq!(received, bytes);
    }
}

fn comparison(more: Value) -> Value {
    let mut object = json!({
        "qom-type": "colo-compare", "id": "cmp", "primary_in": "pri", "secondary_in": "sec",
        "outdev": "out", "notify_dev": "note", "iothread": "io0",
    });
    for (name, value) in more.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

#[test]
fn equal_packets_come_out_on_the_thread_of_the_query() {
    let header = [7_u8; 12];
    for header in [None, Some(&header[..])] {
        let mut peers = Peers::start(json!({"vnet_hdr_support": header.is_some()}));
        let holder = json!({"type": "qom-object", "qom-path": "/objects/cmp"});
        assert_eq!(peers.client.holders("io0"), [holder]);
        let frames: Vec<_> = (0..10).map(|it| frame(5, &[it; 100], header)).collect();
        for frame in &frames {
            peers.send("pri", frame);
        }
        for frame in &frames {
            peers.send("sec", frame);
            peers.expect("out", frame);
        }
        let threads = peers.client.execute("query-iothreads", json!({}));
        assert_eq!(peers.counts()["thread-id"], threads[0]["thread-id"]);
        assert_eq!(peers.counts()["checkpoints"], 0);
    }
}

#[test]
fn what_differs_waits_for_a_checkpoint() {
    let mut peers = Peers::start(json!({}));
    peers.send("note", &message(b"COLO_USERSPACE_PROXY_INIT", None));
    peers.expect("note", &message(b"COLO_COMPARE_GET_XEN_INIT", None));
    let (ours, theirs) = (frame(5, b"ours", None), frame(5, b"theirs", None));
    peers.send("pri", &ours);
    peers.send("sec", &theirs);
    peers.expect("note", &message(b"DO_CHECKPOINT", None));
    peers.send("note", &message(b"COLO_CHECKPOINT", None));
    peers.expect("out", &ours);
    // What waits when the object goes comes out too.
    peers.send("pri", &theirs);
    eventually(|| peers.counts()["primary"] == 2);
    peers.client.execute("object-del", json!({"id": "cmp"}));
    peers.expect("out", &theirs);
    assert_eq!(peers.client.holders("io0"), [] as [Value; 0]);
    // The devices keep their peers.
    for id in DEVICES {
        peers.client.execute("chardev-remove", json!({"id": id}));
    }
    let mut rest = Vec::new();
    peers.streams[2].read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    drop(peers.server);
}

#[test]
fn waiting_too_long_asks_for_a_checkpoint() {
    let mut peers = Peers::start(json!({"compare_timeout": 1, "expired_scan_cycle": 1}));
    peers.send("pri", &frame(5, b"alone", None));
    peers.expect("note", &message(b"DO_CHECKPOINT", None));
}

#[test]
fn a_peer_that_sends_no_packets_is_cut_off() {
    let mut peers = Peers::start(json!({}));
    peers.send("sec", &[0xff; 8]);
    let mut rest = Vec::new();
    peers.streams[1].read_to_end(&mut rest).unwrap();
    // The next one is welcome.
    let path = peers.server.folder().join("sec");
    peers.streams[1] = UnixStream::connect(path).unwrap();
    let packet = frame(5, b"x", None);
    peers.send("pri", &packet);
    peers.send("sec", &packet);
    peers.expect("out", &packet);
}

#[test]
fn what_does_not_fit_leaves_no_holder() {
    let server = Server::start(&[
        "--object",
        "iothread,id=io0",
        "--object",
        "main-loop,id=ml",
        "--chardev",
        "null,id=none",
    ]);
    let mut client = server.client();
    for id in DEVICES {
        let path = server.folder().join(id);
        let addr = json!({"type": "unix", "data": {"path": path}});
        let backend = json!({"type": "socket", "data": {"addr": addr}});
        client.execute("chardev-add", json!({"id": id, "backend": backend}));
    }
    for (more, text) in [
        (json!({"iothread": "nope"}), "Device 'nope' not found"),
        (
            json!({"iothread": "ml"}),
            "Invalid parameter type for 'iothread', expected: iothread",
        ),
        (json!({"primary_in": "nope"}), "Device 'nope' not found"),
        (json!({"notify_dev": "nope"}), "Device 'nope' not found"),
        (
            json!({"outdev": "pri"}),
            "'indev' and 'outdev' could not be same for compare module",
        ),
        (
            json!({"secondary_in": "none"}),
            "chardev \"none\" is not reconnectable",
        ),
        (
            json!({"compare_timeout": 0}),
            "Property 'colo-compare.compare_timeout' requires a positive value",
        ),
        // It is used already when it is to be notified.
        (
            json!({"notify_dev": "out"}),
            "chardev 'out' is already in use",
        ),
    ] {
        assert_eq!(client.error("object-add", comparison(more)), text);
        assert_eq!(client.holders("io0"), [] as [Value; 0]);
    }
    client.execute("object-add", comparison(json!({})));
    assert_eq!(
        client.error("object-del", json!({"id": "io0"})),
        "object 'io0' is in use, can not be deleted"
    );
    client.execute("object-del", json!({"id": "cmp"}));
    client.execute("object-del", json!({"id": "io0"}));
    for id in DEVICES {
        client.execute("chardev-remove", json!({"id": id}));
    }
}

#[test]
fn a_manager_that_does_not_read_is_not_read_from() {
    let mut peers = Peers::start(json!({}));
    let (ask, answer) = (
        message(b"COLO_USERSPACE_PROXY_INIT", None),
        message(b"COLO_COMPARE_GET_XEN_INIT", None),
    );
    let n_taken = send_without_reading(&mut peers.streams[3], &ask, 1 << 20);
    // It goes on once the manager reads.
    for _ in 0..n_taken {
        peers.expect("note", &answer);
    }
    peers.send("note", &ask);
    peers.expect("note", &answer);
}

#[test]
fn a_peer_that_is_owed_something_is_not_left_in_the_middle_of_it() {
    let mut peers = Peers::start(json!({}));
    let ask = message(b"COLO_USERSPACE_PROXY_INIT", None);
    send_without_reading(&mut peers.streams[3], &ask, 1 << 20);
    peers.client.execute("object-del", json!({"id": "cmp"}));
    // What it does not get it knows to have missed.
    let mut bytes = [0; 4096];
    loop {
        match peers.streams[3].read(&mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
}

/// All comparisons share their memory: one that waits for much is not read from, and another one works on.
#[test]
fn what_waits_has_a_limit_for_all_comparisons_together() {
    let many = json!({"max_queue_size": 1_000_000, "compare_timeout": 1_000_000});
    let mut peers = Peers::start_with(&["--limit", "colo=1M"], many);
    let packet = frame(5, &[1; 1000], None);
    let index = DEVICES.iter().position(|it| *it == "pri").unwrap();
    let n_sent = send_without_reading(&mut peers.streams[index], &packet, 20_000);
    // That, and what is on its way in sockets.
    assert!(n_sent * packet.len() < 8 << 20, "{n_sent} packets");

    let folder = peers.server.folder().to_owned();
    let mut second = comparison(json!({"id": "other"}));
    let mut streams = Vec::new();
    for (id, property) in [
        ("pri2", "primary_in"),
        ("sec2", "secondary_in"),
        ("out2", "outdev"),
    ] {
        let path = folder.join(id);
        let addr = json!({"type": "unix", "data": {"path": path}});
        let backend = json!({"type": "socket", "data": {"addr": addr}});
        let chardev = json!({"id": id, "backend": backend});
        peers.client.execute("chardev-add", chardev);
        second[property] = json!(id);
        streams.push(UnixStream::connect(path).unwrap());
    }
    second.as_object_mut().unwrap().remove("notify_dev");
    peers.client.execute("object-add", second);
    let get = json!({"path": "/objects/other", "property": "x-counts"});
    eventually(|| peers.client.execute("qom-get", get.clone())["peers"] == 3);
    for stream in &mut streams[..2] {
        stream.write_all(&packet).unwrap();
    }
    let mut received = vec![0; packet.len()];
    streams[2].set_read_timeout(Some(PATIENCE)).unwrap();
    streams[2].read_exact(&mut received).unwrap();
    assert_eq!(received, packet);

    // The first one goes on with what its other copy sends; nothing is lost.
    let mut secondary = peers.streams[1].try_clone().unwrap();
    let all = packet.repeat(n_sent);
    let sender = std::thread::spawn(move || secondary.write_all(&all).unwrap());
    for _ in 0..n_sent {
        peers.expect("out", &packet);
    }
    sender.join().unwrap();
    let counts = peers.counts();
    assert_eq!(
        (&counts["dropped"], &counts["checkpoints"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(counts["released"], n_sent);
}
