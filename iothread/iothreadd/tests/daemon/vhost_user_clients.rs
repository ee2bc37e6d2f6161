//! Clients of vhost-user-blk exports: how they come and go, and what becomes of those that break the protocol.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use vhost::vhost_user::VhostUserFrontend;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::guest::{DATA, Descriptor, Guest, IN, NEXT, Queue, WRITE, header, status};
use crate::harness::{PATIENCE, eventually, send_with};
use crate::vhost_user_blk::{Fixture, sector_of};

fn holder(export: &str) -> Value {
    json!({"type": "block-export", "export-id": export})
}

pub(crate) const NOBODY: [Vec<Value>; 2] = [Vec::new(), Vec::new()];

/// A client that writes what it likes.
pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A message: number, version 1, size, body.
pub(crate) fn message(number: u32, size: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.extend(1_u32.to_ne_bytes());
    bytes.extend(size.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// Asks for the features.
fn ask(mut stream: &UnixStream) {
    stream.write_all(&message(1, 0, &[])).unwrap();
}

fn take_answer(mut stream: &UnixStream) {
    stream.read_exact(&mut [0; 20]).unwrap();
}

/// Whether the server hangs up without another byte.
pub(crate) fn is_closed(mut stream: &UnixStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Reads a sector as a client that has just come.
fn check_disk(it: &Fixture, id: &str) {
    let mut guest = Guest::start(&it.socket(id), 1, 0);
    assert!(guest.read_disk(0, 9, 512) == sector_of(9));
}

#[test]
fn an_export_holds_its_threads_until_the_event() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": ["io0", "io1"], "writable": true}));
    assert_eq!(it.holders(), [vec![holder("e")], vec![holder("e")]]);
    let exports = it.client.execute("query-block-exports", json!({}));
    let export =
        json!({"id": "e", "type": "vhost-user-blk", "node-name": "n0", "shutting-down": false});
    assert_eq!(exports, json!([export]));
    let mut guest = Guest::start(&it.socket("e"), 1, 0);
    assert!(guest.read_disk(0, 9, 512) == sector_of(9));
    for arguments in [json!({"id": "e"}), json!({"id": "e", "mode": "safe"})] {
        let error = it.client.error("block-export-del", arguments);
        assert_eq!(error, "export 'e' still in use");
    }
    assert_eq!(it.holders(), [vec![holder("e")], vec![holder("e")]]);
    it.delete("e", "hard");
    assert_eq!(it.holders(), NOBODY);
    guest.frontend.get_features().unwrap_err();
    assert!(!it.socket("e").exists());
    // The place, the name and the node are free again; without a client safe is enough.
    it.export("e", &json!({"iothread": "io0", "writable": true}));
    it.delete("e", "safe");
    assert_eq!(it.holders(), NOBODY);
    let deletion = json!({"node-name": "n0"});
    it.client.execute("blockdev-del", deletion);
}

#[test]
fn what_fails_leaves_nothing() {
    let mut it = Fixture::new();
    it.client.execute(
        "x-blockdev-set-iothread",
        json!({"node-name": "n0", "iothread": "io1"}),
    );
    let before = it.holders();
    let long = it.socket(&"x".repeat(110));
    let occupied = it.socket("occupied");
    let _listener = std::os::unix::net::UnixListener::bind(&occupied).unwrap();
    let inet = json!({"type": "inet", "host": "127.0.0.1", "port": "0"});
    let path = |path: &Path| json!({"type": "unix", "path": path});
    let block_size = "parameter logical-block-size must be a power of 2 between 512 and 2097152";
    for (more, text) in [
        (
            json!({"num-queues": 0}),
            "num-queues must be greater than 0".to_owned(),
        ),
        (
            json!({"num-queues": 257}),
            "num-queues must not be greater than 256".to_owned(),
        ),
        (json!({"logical-block-size": 100}), block_size.to_owned()),
        (
            json!({"logical-block-size": 4_194_304}),
            block_size.to_owned(),
        ),
        (json!({"logical-block-size": 600}), block_size.to_owned()),
        (
            json!({"addr": inet}),
            "Only socket address types 'unix' and 'fd' are supported".to_owned(),
        ),
        (
            json!({"addr": {"type": "fd", "str": "x"}}),
            "File descriptor named 'x' has not been found".to_owned(),
        ),
        (
            json!({"addr": path(Path::new("/nowhere/s"))}),
            "Failed to bind socket to /nowhere/s: No such file or directory".to_owned(),
        ),
        (
            json!({"addr": path(&long)}),
            format!("UNIX socket path '{}' is too long", long.display()),
        ),
        (
            json!({"addr": path(&occupied)}),
            format!(
                "Failed to bind socket to {}: Address already in use",
                occupied.display()
            ),
        ),
        (
            json!({"iothread": "nope"}),
            "iothread \"nope\" not found".to_owned(),
        ),
        (
            json!({"node-name": "nope"}),
            "Cannot find device='' nor node-name='nope'".to_owned(),
        ),
    ] {
        let mut options = json!({"iothread": ["io0", "io1"]});
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        let reply = it.try_export("e", &options);
        assert_eq!(reply["error"]["desc"], text);
        assert_eq!(it.holders(), before, "{text}");
        assert!(!it.socket("e").exists(), "{text}");
    }
    it.export("e", &json!({"iothread": "io1"}));
    check_disk(&it, "e");
}

#[test]
fn clients_take_turns() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0", "writable": true}));
    let mut first = Guest::start(&it.socket("e"), 1, 0);
    // The second one is connected, and waits for an answer.
    let second = connect(&it.socket("e"));
    (&second).write_all(&message(1, 0, &[])).unwrap();
    second.set_nonblocking(true).unwrap();
    assert!(first.read_disk(0, 9, 512) == sector_of(9));
    let nothing_yet = (&second).read(&mut [0]).unwrap_err();
    assert_eq!(nothing_yet.kind(), std::io::ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();
    drop(first);
    (&second).read_exact(&mut [0; 20]).unwrap();
    drop(second);
    for _ in 0..20 {
        check_disk(&it, "e");
    }
    assert_eq!(it.holders(), [vec![holder("e")], vec![]]);
}

#[test]
fn a_client_that_says_nothing_makes_way_for_one_that_waits() {
    let mut it = Fixture::new();
    for id in ["alone", "known", "mute", "cut"] {
        it.export(id, &json!({"iothread": "io0"}));
    }
    // Those that came before are still there when the last one is gone.
    let alone = connect(&it.socket("alone"));
    let known = connect(&it.socket("known"));
    ask(&known);
    take_answer(&known);
    let waiting = connect(&it.socket("known"));
    let [mute, cut] = ["mute", "cut"].map(|id| connect(&it.socket(id)));
    (&cut).write_all(&message(1, 0, &[])[..11]).unwrap();
    let next = ["mute", "cut"].map(|id| connect(&it.socket(id)));
    next.iter().for_each(ask);
    for (silent, next) in [mute, cut].iter().zip(&next) {
        take_answer(next);
        assert!(is_closed(silent));
    }
    for client in [&alone, &known] {
        ask(client);
        take_answer(client);
    }
    drop(known);
    ask(&waiting);
    take_answer(&waiting);
}

#[test]
fn clients_that_break_the_protocol_are_disconnected() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0"}));
    let features = |features: u64| message(2, 8, &features.to_ne_bytes());
    let vring = |number: u32, index: u32, value: u32| {
        let body = [index.to_ne_bytes(), value.to_ne_bytes()].concat();
        message(number, 8, &body)
    };
    for (name, bytes) in [
        ("no message", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("an unknown number", message(9999, 0, &[])),
        ("number 0", message(0, 0, &[])),
        ("another version", [1, 2, 0].map(u32::to_ne_bytes).concat()),
        ("a reply", [1, 5, 0].map(u32::to_ne_bytes).concat()),
        ("a body too long for any message", message(1, 4097, &[])),
        ("as long as can be said", message(1, u32::MAX, &[])),
        ("a body too long for this one", message(1, 8, &[0; 8])),
        ("a body too short for this one", message(2, 4, &[0; 4])),
        ("no body", message(11, 0, &[])),
        ("features that are not there", features(1 << 60)),
        ("a queue that is not there", vring(8, 1, 64)),
        (
            "the end of a queue that is not there",
            vring(11, u32::MAX, 0),
        ),
        ("a queue that is too long", vring(8, 0, 2048)),
        ("a queue of nothing", vring(8, 0, 0)),
        ("a queue of odd length", vring(8, 0, 65)),
        ("a base that is too large", vring(10, 0, 1 << 16)),
        ("a reset that was not agreed on", message(34, 0, &[])),
        ("a table without descriptors", message(5, 40, &[1; 40])),
        ("a queue without a descriptor", message(12, 8, &[0; 8])),
        (
            "a queue that is polled",
            message(12, 8, &0x100_u64.to_ne_bytes()),
        ),
        ("addresses without memory", message(9, 40, &[0; 40])),
    ] {
        let stream = connect(&it.socket("e"));
        (&stream).write_all(&bytes).unwrap();
        assert!(is_closed(&stream), "{name}");
        check_disk(&it, "e");
    }
    // All beginnings of a message, after which the client is gone.
    let whole = features(0);
    for length in 0..whole.len() {
        let stream = connect(&it.socket("e"));
        (&stream).write_all(&whole[..length]).unwrap();
    }
    check_disk(&it, "e");
    assert_eq!(it.holders(), [vec![holder("e")], vec![]]);
}

#[test]
fn a_client_that_passes_its_own_socket_holds_nothing_after_it_left() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0"}));
    let vring = |number: u32| message(number, 8, &[0; 8]);
    for (name, bytes) in [
        ("to wake the guest", vring(13)),
        ("to tell of errors", vring(14)),
        ("to be notified", vring(12)),
        ("with a message that takes none", message(1, 0, &[])),
        ("with half a message", vring(13)[..15].to_vec()),
        ("with half a header", vring(13)[..3].to_vec()),
    ] {
        let stream = connect(&it.socket("e"));
        ask(&stream);
        take_answer(&stream);
        send_with(&stream, &bytes, &stream);
        drop(stream);
        let next = connect(&it.socket("e"));
        ask(&next);
        let mut answer = [0; 20];
        (&next).read_exact(&mut answer).expect(name);
    }
    check_disk(&it, "e");
}

#[test]
fn clients_that_dawdle_hold_up_nobody() {
    let mut it = Fixture::new();
    for id in ["slow", "deaf", "good"] {
        it.export(id, &json!({"iothread": "io0"}));
    }
    let slow = connect(&it.socket("slow"));
    let bytes = message(1, 0, &[]);
    let (last, others) = bytes.split_last().unwrap();
    (&slow).write_all(others).unwrap();
    // Asks until the answers that it does not read fill the way in both directions.
    let deaf = connect(&it.socket("deaf"));
    deaf.set_nonblocking(true).unwrap();
    let mut n_bytes = 0;
    let mut n_refused = 0;
    while n_refused < 20 {
        match (&deaf).write(&bytes[n_bytes % bytes.len()..]) {
            Ok(count) => {
                n_bytes += count;
                n_refused = 0;
            }
            Err(_) => {
                n_refused += 1;
                check_disk(&it, "good");
            }
        }
    }
    check_disk(&it, "good");
    (&slow).write_all(&[*last]).unwrap();
    (&slow).read_exact(&mut [0; 20]).unwrap();
    deaf.set_nonblocking(false).unwrap();
    let n_answers = n_bytes / bytes.len();
    let mut answers = vec![0; 20 * n_answers];
    (&deaf).read_exact(&mut answers).unwrap();
    assert!(answers.chunks(20).all(|answer| answer == &answers[..20]));
}

#[test]
fn refusals_are_told_to_clients_that_ask() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0", "writable": true}));
    let mut guest = Guest::start(&it.socket("e"), 1, 0);
    let region = guest.region();
    let good = |guest: &mut Guest| assert!(guest.read_disk(0, 9, 512) == sector_of(9));
    // A queue that runs cannot be changed.
    guest.frontend.set_vring_num(0, 32).unwrap_err();
    guest.frontend.set_vring_base(0, 7).unwrap_err();
    let addresses = guest.addresses(0);
    guest.frontend.set_vring_addr(0, &addresses).unwrap_err();
    good(&mut guest);
    // Memory that is in use already, memory beyond the end of its file, and descriptors that are not files.
    guest.frontend.add_mem_region(&region).unwrap_err();
    let beyond = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 40,
        mmap_offset: 4096,
        ..region
    };
    guest.frontend.add_mem_region(&beyond).unwrap_err();
    let null = std::fs::File::open("/dev/null").unwrap();
    let no_memory = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 40,
        mmap_handle: null.as_raw_fd(),
        ..region
    };
    guest.frontend.add_mem_region(&no_memory).unwrap_err();
    guest.frontend.set_mem_table(&[no_memory]).unwrap_err();
    guest.frontend.remove_mem_region(&beyond).unwrap_err();
    good(&mut guest);
    // Memory that comes and goes.
    let more = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 40,
        userspace_addr: 1 << 40,
        ..region
    };
    guest.frontend.add_mem_region(&more).unwrap();
    let far = [((1 << 40) + DATA, 512, WRITE)];
    assert_eq!(guest.request(0, IN, 9, &far), 0);
    assert!(guest.read(DATA, 512) == sector_of(9));
    guest.frontend.remove_mem_region(&more).unwrap();
    assert_eq!(guest.request(0, IN, 9, &far), 1);
    good(&mut guest);
    // The cache can be switched off, and nothing else be changed.
    let flags = vhost::vhost_user::message::VhostUserConfigFlags::empty();
    guest.frontend.set_config(0, flags, &[1; 8]).unwrap_err();
    assert_eq!(guest.config(32, 1), [1]);
    guest.frontend.set_config(32, flags, &[0]).unwrap();
    assert_eq!(guest.config(32, 1), [0]);
    good(&mut guest);
    // Without the memory that it is in a queue breaks.
    let elsewhere = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 40,
        ..region
    };
    guest.frontend.set_mem_table(&[elsewhere]).unwrap();
    guest.submit(0, 0);
    assert!(guest.is_broken(0));
    guest.frontend.set_mem_table(&[region]).unwrap();
    guest.restart_queue(0);
    good(&mut guest);
    guest.frontend.reset_device().unwrap();
    let restarted = EventFd::new(EFD_NONBLOCK).unwrap();
    guest.frontend.set_vring_kick(0, &restarted).unwrap_err();
}

/// A node whose requests take a while, behind the export `slow`.
pub(crate) fn slow_disk(latency_ns: u64) -> (Fixture, Guest) {
    let mut it = Fixture::new();
    add_slow_node(&mut it, latency_ns);
    it.export("slow", &json!({"node-name": "slow", "iothread": "io0"}));
    let guest = Guest::start(&it.socket("slow"), 1, 0);
    (it, guest)
}

pub(crate) fn add_slow_node(it: &mut Fixture, latency_ns: u64) {
    let node = json!({
        "driver": "null-co", "node-name": "slow", "size": 16 << 20, "latency-ns": latency_ns,
        "read-zeroes": true,
    });
    it.client.execute("blockdev-add", node);
}

/// Starts a request without waiting for it.
pub(crate) fn begin(guest: &mut Guest) {
    let data = Descriptor {
        address: DATA,
        length: 512,
        flags: NEXT | WRITE,
        next: 2,
    };
    guest.write_header(IN, 0);
    guest.write_chain(0, &[header(), data, status()]);
    guest.submit(0, 0);
}

/// Waits until the server has taken a request; on a machine that is busy it may have ended by then.
pub(crate) fn wait_until_taken(it: &mut Fixture, guest: &Guest) {
    eventually(|| it.queues("slow")[0]["in-flight"] == 1 || guest.has_all_back(0));
}

#[test]
fn requests_under_way_end_when_their_node_moves() {
    let mut it = Fixture::new();
    add_slow_node(&mut it, 3_600_000_000_000);
    let move_to = |it: &mut Fixture, thread: Value| {
        let arguments = json!({"node-name": "slow", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
    };
    move_to(&mut it, json!("io0"));
    it.export("slow", &json!({"node-name": "slow"}));
    let mut guest = Guest::start(&it.socket("slow"), 1, 0);
    for thread in [json!("io1"), json!("io0"), Value::Null] {
        begin(&mut guest);
        wait_until_taken(&mut it, &guest);
        move_to(&mut it, thread);
        let base = guest.frontend.get_vring_base(0).unwrap();
        assert_eq!((base, guest.used(0)), (1, 1));
        assert_eq!(guest.status(), Some(0));
        guest.restart_queue(0);
    }
}

#[test]
fn the_socket_may_be_passed_along() {
    let mut it = Fixture::new();
    let path = it.socket("passed");
    let listener = OwnedFd::from(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let kept = it
        .client
        .exchange_with("getfd", json!({"fdname": "listener"}), &listener);
    assert_eq!(kept, json!({"return": {}}));
    it.export(
        "passed",
        &json!({"addr": {"type": "fd", "str": "listener"}}),
    );
    check_disk(&it, "passed");
    it.delete("passed", "safe");
    let tcp = OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let kept = it
        .client
        .exchange_with("getfd", json!({"fdname": "tcp"}), &tcp);
    assert_eq!(kept, json!({"return": {}}));
    let reply = it.try_export(
        "e",
        &json!({"addr": {"type": "fd", "str": "tcp"}, "iothread": "io0"}),
    );
    assert_eq!(
        reply["error"]["desc"],
        "Only UNIX domain sockets are supported"
    );
    assert_eq!(it.holders(), NOBODY);
}

#[test]
fn a_client_is_gone_only_with_all_of_its_queues() {
    const N_QUEUES: usize = 14;
    let mut it = Fixture::new();
    let both = json!({"iothread": ["io0", "io1"], "num-queues": N_QUEUES});
    for _ in 0..50 {
        it.export("e", &both);
        let Guest {
            frontend, queues, ..
        } = Guest::start(&it.socket("e"), N_QUEUES, 0);
        std::thread::scope(|scope| {
            // The queues of one thread are busy while the other one disconnects the client.
            scope.spawn(|| {
                for _ in 0..500 {
                    queues.iter().skip(1).step_by(2).for_each(Queue::kick);
                }
            });
            drop(frontend);
            let deletion = json!({"id": "e", "mode": "safe"});
            eventually(|| {
                let reply = it.client.exchange("block-export-del", deletion.clone());
                reply.get("return").is_some()
            });
        });
        assert_eq!(it.client.event()["event"], "BLOCK_EXPORT_DELETED");
        assert_eq!(it.holders(), NOBODY);
    }
}
