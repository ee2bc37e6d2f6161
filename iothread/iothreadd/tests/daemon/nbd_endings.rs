//! How NBD clients fare when what serves them ends on purpose: what they have asked for is answered.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server};
use crate::nbd::{FLUSH, Nbd, READ, WRITE};

/// The ways in which an export comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Removal,
    Stop,
    Quit,
    Signal(&'static str),
}

const ENDS: [End; 6] = [
    End::Removal,
    End::Stop,
    End::Quit,
    End::Signal("TERM"),
    End::Signal("INT"),
    End::Signal("HUP"),
];

/// So long that requests are under way when the end comes, and so short that nobody waits for nothing.
const SLOW_NS: u64 = 300_000_000;

struct Fixture {
    server: Server,
    client: Client,
    socket: PathBuf,
}

impl Fixture {
    /// A server whose export "e" has this node.
    fn new(node: impl FnOnce(&Server) -> Value) -> Self {
        let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
        let mut client = server.client();
        let mut node = node(&server);
        node["node-name"] = json!("n0");
        client.execute("blockdev-add", node);
        let socket = server.folder().join("nbd");
        let address = json!({"type": "unix", "data": {"path": socket}});
        client.execute("nbd-server-start", json!({"addr": address}));
        let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "iothread": "io0",
                            "writable": true});
        client.execute("block-export-add", export);
        Self {
            server,
            client,
            socket,
        }
    }

    fn slow() -> Self {
        Self::new(|_| json!({"driver": "null-co", "read-zeroes": true, "latency-ns": SLOW_NS}))
    }

    fn nbd(&self) -> Nbd {
        Nbd::open(&self.socket, "e")
    }

    fn begin(&mut self, end: End) {
        match end {
            End::Removal => {
                let arguments = json!({"id": "e", "mode": "hard"});
                self.client.execute("block-export-del", arguments);
            }
            End::Stop => {
                self.client.execute("nbd-server-stop", json!({}));
            }
            End::Quit => {
                self.client.execute("quit", json!({}));
            }
            End::Signal(name) => self.server.signal(name),
        }
    }

    /// Waits until the end is complete.
    fn wait(&mut self, end: End) {
        match end {
            End::Removal | End::Stop => {
                let event = self.client.event();
                assert_eq!(event["event"], "BLOCK_EXPORT_DELETED");
                assert_eq!(event["data"], json!({"id": "e"}));
                assert_eq!(self.client.holders("io0"), [] as [Value; 0]);
                let deletion = json!({"node-name": "n0"});
                self.client.execute("blockdev-del", deletion);
            }
            End::Quit | End::Signal(_) => assert_eq!(self.server.wait().code(), Some(0)),
        }
    }
}

/// Takes the replies to reads, in whatever order.
fn take_reads(nbd: &mut Nbd, mut cookies: Vec<u64>, length: usize) {
    while !cookies.is_empty() {
        let (cookie, error) = nbd.simple();
        assert_eq!(error, 0);
        let place = cookies.iter().position(|known| *known == cookie);
        cookies.swap_remove(place.unwrap());
        assert!(nbd.bytes(length).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn requests_that_have_come_are_answered_before_the_end() {
    for end in ENDS {
        let mut it = Fixture::slow();
        let mut clients = [it.nbd(), it.nbd()];
        // More than may wait at a time, so that some have not been looked at yet.
        let mut ask = |nbd: &mut Nbd| {
            let ask = |number: u64| nbd.request(READ, 0, number * 512, 512);
            (0..300).map(ask).collect::<Vec<u64>>()
        };
        let cookies = clients.each_mut().map(&mut ask);
        it.begin(end);
        for (nbd, cookies) in clients.iter_mut().zip(cookies) {
            take_reads(nbd, cookies, 512);
            assert!(nbd.is_closed(), "{end:?}");
        }
        it.wait(end);
    }
}

#[test]
fn writes_that_have_come_are_carried_out_before_the_end() {
    for end in ENDS {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::write(&image, vec![0; 8 << 20]).unwrap();
        let mut it = Fixture::new(|_| json!({"driver": "file", "filename": image}));
        let mut nbd = it.nbd();
        // All of it fits into the socket.
        let mut cookies: Vec<u64> = (0..16_u8)
            .map(|number| {
                let cookie = nbd.request(WRITE, 0, u64::from(number) * 4096, 4096);
                nbd.send(&[number + 1; 4096]);
                cookie
            })
            .collect();
        cookies.push(nbd.request(FLUSH, 0, 0, 0));
        it.begin(end);
        for _ in 0..17 {
            let (cookie, error) = nbd.simple();
            assert_eq!(error, 0);
            assert!(cookies.contains(&cookie));
        }
        assert!(nbd.is_closed(), "{end:?}");
        it.wait(end);
        let stored = std::fs::read(&image).unwrap();
        for number in 0..16_u8 {
            let place = usize::from(number) * 4096;
            assert!(
                stored[place..place + 4096]
                    .iter()
                    .all(|byte| *byte == number + 1)
            );
        }
    }
}

#[test]
fn half_a_request_does_not_keep_an_export() {
    let mut it = Fixture::slow();
    let mut whole = it.nbd();
    let cookie = whole.request(READ, 0, 0, 512);
    whole.request(WRITE, 0, 4096, 4096);
    whole.send(&[1; 4095]);
    let mut half = it.nbd();
    half.send(&[0x25, 0x60, 0x95]);
    it.begin(End::Removal);
    take_reads(&mut whole, vec![cookie], 512);
    assert!(whole.is_closed());
    assert!(half.is_closed());
    it.wait(End::Removal);
}

#[test]
fn a_client_that_does_not_read_does_not_keep_an_export() {
    for end in [End::Removal, End::Quit] {
        let mut it = Fixture::new(|_| json!({"driver": "null-co"}));
        let mut deaf = it.nbd();
        for number in 0..8 {
            deaf.request(READ, 0, number << 20, 1 << 20);
        }
        it.begin(end);
        it.wait(end);
    }
}

#[test]
fn a_move_loses_no_request() {
    let mut it = Fixture::new(
        |_| json!({"driver": "null-co", "read-zeroes": true, "latency-ns": 20_000_000}),
    );
    // Wherever the node is.
    let export =
        json!({"type": "nbd", "id": "f", "name": "f", "node-name": "n0", "writable": true});
    it.client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&it.socket, "f");
    for round in 0..20 {
        let cookies = (0..50).map(|number| nbd.request(READ, 0, number * 512, 512));
        let cookies = cookies.collect();
        let place = ["io0", "io1"][round % 2];
        let arguments = json!({"node-name": "n0", "iothread": place, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
        take_reads(&mut nbd, cookies, 512);
    }
}

/// A client that hears of a refusal before it has sent its data may stop in the middle of them.
#[test]
fn a_write_that_is_too_long_is_refused_after_its_data() {
    let it = Fixture::new(|_| json!({"driver": "null-co", "read-zeroes": true}));
    let length = (32 << 20) + 1;
    let mut nbd = it.nbd();
    let cookie = nbd.request(WRITE, 0, 0, length);
    nbd.send(&vec![1; length as usize - 1]);
    // The same thread has had its turns.
    let mut other = it.nbd();
    for _ in 0..3 {
        other.read(0, 512);
    }
    nbd.stream.set_nonblocking(true).unwrap();
    let nothing_yet = std::io::Read::read(&mut nbd.stream, &mut [0]).unwrap_err();
    assert_eq!(nothing_yet.kind(), std::io::ErrorKind::WouldBlock);
    nbd.stream.set_nonblocking(false).unwrap();
    nbd.stream.write_all(&[1]).unwrap();
    assert_eq!(nbd.simple(), (cookie, 22));
    assert_eq!(nbd.read(0, 512), [0; 512]);
}
