//! Exports as vhost-user-blk devices: what a guest gets, whatever it asks for, and what the server keeps.

use std::path::PathBuf;

use serde_json::{Value, json};
use vhost::VhostBackend as _;

use crate::guest::{
    DATA, DISCARD, Descriptor, EVENT_IDX, FLUSH, GET_ID, Guest, IN, INDIRECT, MEMORY_SIZE, NEXT,
    OUT, QUEUE_SIZE, WRITE, WRITE_ZEROES, header, status,
};
use crate::harness::{Client, Server, eventually};

/// Bytes of the image.
const SIZE: usize = 16 << 20;

/// A server with two IOThreads, and a file.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) client: Client,
    image: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// One with these options, too.
    pub(crate) fn with(options: &[&str]) -> Self {
        let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
        let server = Server::start(&[&objects, options].concat());
        let mut client = server.client();
        let image = server.folder().join("image");
        std::fs::write(&image, contents()).unwrap();
        let node =
            json!({"driver": "file", "node-name": "n0", "filename": image, "discard": "unmap"});
        client.execute("blockdev-add", node);
        Self {
            server,
            client,
            image,
        }
    }

    pub(crate) fn socket(&self, id: &str) -> PathBuf {
        self.server.folder().join(id)
    }

    pub(crate) fn try_export(&mut self, id: &str, more: &Value) -> Value {
        let mut options = json!({
            "type": "vhost-user-blk", "id": id, "node-name": "n0",
            "addr": {"type": "unix", "path": self.socket(id)},
        });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        self.client.exchange("block-export-add", options)
    }

    pub(crate) fn export(&mut self, id: &str, more: &Value) {
        assert_eq!(self.try_export(id, more), json!({"return": {}}));
    }

    pub(crate) fn delete(&mut self, id: &str, mode: &str) {
        let arguments = json!({"id": id, "mode": mode});
        self.client.execute("block-export-del", arguments);
        let event = self.client.event();
        assert_eq!(event["event"], "BLOCK_EXPORT_DELETED");
        assert_eq!(event["data"], json!({"id": id}));
    }

    pub(crate) fn holders(&mut self) -> [Vec<Value>; 2] {
        ["io0", "io1"].map(|thread| self.client.holders(thread))
    }

    fn thread_ids(&mut self) -> [Value; 2] {
        let threads = self.client.execute("query-iothreads", json!({}));
        [0, 1].map(|index: usize| threads[index]["thread-id"].clone())
    }

    pub(crate) fn queues(&mut self, id: &str) -> Value {
        let arguments = json!({"id": id});
        self.client
            .execute("x-query-block-export-queues", arguments)
    }
}

/// What is on the disk at first.
fn contents() -> Vec<u8> {
    let mut contents = Vec::with_capacity(SIZE);
    for number in 0..SIZE / 512 {
        contents.extend_from_slice(&sector_of(number));
    }
    contents
}

/// What is in a sector at first: no two are the same.
pub(crate) fn sector_of(number: usize) -> [u8; 512] {
    let mut sector = [number as u8; 512];
    sector[..8].copy_from_slice(&number.to_le_bytes());
    sector[511] ^= 0xff;
    sector
}

/// Sectors that are to be discarded, or made zeroes.
fn range(sector: u64, count: u32, flags: u32) -> Vec<u8> {
    let mut range = sector.to_le_bytes().to_vec();
    range.extend(count.to_le_bytes());
    range.extend(flags.to_le_bytes());
    range
}

fn piece(address: u64, length: u32, flags: u16, next: u16) -> Descriptor {
    Descriptor {
        address,
        length,
        flags,
        next,
    }
}

#[test]
fn a_disk_does_all_that_it_offers() {
    let mut it = Fixture::new();
    it.export(
        "disk-with-a-long-name-of-25",
        &json!({"writable": true, "iothread": "io0"}),
    );
    // With indices of events and with flags, a driver that knows nothing new included.
    let old: u64 = !(1 << 32);
    for without in [0, EVENT_IDX, old & !(1 << 30), old] {
        let mut guest = Guest::start(&it.socket("disk-with-a-long-name-of-25"), 1, without);
        let contents = contents();
        assert!(guest.read_disk(0, 3, 8192) == contents[1536..1536 + 8192]);
        let data: Vec<u8> = (0..3 * 512).map(|at| (at % 251) as u8).collect();
        guest.write_disk(0, 100, &data);
        assert!(guest.read_disk(0, 100, 3 * 512) == data);
        assert_eq!(guest.request(0, FLUSH, 0, &[]), 0);
        let image = std::fs::read(&it.image).unwrap();
        assert!(image[51_200..51_200 + 1536] == data);

        assert_eq!(guest.request(0, GET_ID, 0, &[(DATA, 20, WRITE)]), 0);
        assert_eq!(guest.read(DATA, 20), b"disk-with-a-long-nam");

        for (kind, flags) in [(WRITE_ZEROES, 0), (WRITE_ZEROES, 1), (DISCARD, 0)] {
            guest.write_disk(0, 100, &data);
            guest.write(DATA, &range(101, 1, flags));
            assert_eq!(guest.request(0, kind, 0, &[(DATA, 16, 0)]), 0);
            assert!(guest.read_disk(0, 100, 512) == data[..512]);
            assert!(guest.read_disk(0, 102, 512) == data[1024..]);
            if kind == WRITE_ZEROES {
                assert_eq!(guest.read_disk(0, 101, 512), [0; 512]);
            }
        }
        guest.write_disk(0, 100, &contents[51_200..51_200 + 1536]);

        // Longer than what is copied at a time, in pieces that do not fit that either.
        let pieces = [
            (DATA, 5 << 20, WRITE),
            (DATA + (6 << 20), 3_145_728 + 512, WRITE),
            (DATA + (10 << 20), 1 << 20, WRITE),
        ];
        assert_eq!(guest.request(0, IN, 1, &pieces), 0);
        let mut at = 512;
        for (address, length, _) in pieces {
            let length = length as usize;
            assert!(guest.read(address, length) == contents[at..at + length]);
            at += length;
        }
        let pieces = pieces.map(|(address, length, _)| (address, length, 0));
        assert_eq!(guest.request(0, OUT, 1, &pieces), 0);
        assert!(std::fs::read(&it.image).unwrap() == contents);
    }
}

#[test]
fn the_configuration_space_tells_the_truth() {
    let mut it = Fixture::new();
    let options = json!({"logical-block-size": 4096, "num-queues": 3, "writable": true});
    it.export("e", &options);
    let mut guest = Guest::start(&it.socket("e"), 3, 0);
    let capacity = (SIZE as u64 / 512).to_le_bytes();
    assert_eq!(guest.config(0, 8), capacity);
    assert_eq!(guest.config(20, 4), 4096_u32.to_le_bytes());
    assert_eq!(guest.config(34, 2), [3, 0]);
    // Parts of blocks cannot be asked for.
    assert_eq!(guest.request(2, IN, 1, &[(DATA, 4096, WRITE)]), 1);
    assert_eq!(guest.request(2, IN, 8, &[(DATA, 512, WRITE)]), 1);
    assert!(guest.read_disk(2, 8, 4096) == contents()[4096..8192]);
    drop(guest);
    it.delete("e", "hard");

    it.export("ro", &json!({}));
    let mut guest = Guest::start(&it.socket("ro"), 1, 0);
    guest.write(DATA, &[0; 512]);
    for kind in [OUT, DISCARD, WRITE_ZEROES] {
        assert_eq!(guest.request(0, kind, 0, &[(DATA, 512, 0)]), 1);
    }
    assert!(std::fs::read(&it.image).unwrap() == contents());
}

#[test]
fn queues_are_spread_over_the_threads() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": ["io0", "io1"], "num-queues": 3}));
    let holder = json!({"type": "block-export", "export-id": "e"});
    assert_eq!(it.holders(), [vec![holder.clone()], vec![holder]]);
    let mut guest = Guest::start(&it.socket("e"), 3, 0);
    for (index, n_requests) in [(0, 1), (1, 2), (2, 3)] {
        for _ in 0..n_requests {
            guest.read_disk(index, 0, 512);
        }
    }
    assert_eq!(guest.request(2, 99, 0, &[]), 2);
    let threads = it.thread_ids();
    let queues = it.queues("e");
    for (index, thread, failures) in [(0, 0, 0), (1, 1, 0), (2, 0, 1)] {
        let queue = &queues[index];
        assert_eq!(queue["iothread"], ["io0", "io1"][thread]);
        assert_eq!(queue["thread-id"], threads[thread]);
        assert_eq!(queue["requests"], index + 1);
        assert_eq!(queue["failures"], failures);
    }
    assert_eq!(
        it.client
            .error("x-query-block-export-queues", json!({"id": "x"})),
        "Export 'x' is not found"
    );
}

#[test]
fn an_export_without_a_thread_follows_its_node() {
    let mut it = Fixture::new();
    it.export("e", &json!({"writable": true, "num-queues": 2}));
    let mut guest = Guest::start(&it.socket("e"), 2, 0);
    let threads = it.thread_ids();
    let main = json!(it.server.id());
    let nobody = Value::Null;
    for (thread, name, id) in [
        (Value::Null, &nobody, &main),
        (json!("io0"), &json!("io0"), &threads[0]),
        (json!("io1"), &json!("io1"), &threads[1]),
        (Value::Null, &nobody, &main),
    ] {
        let arguments = json!({"node-name": "n0", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
        for index in [0, 1] {
            assert!(guest.read_disk(index, 8, 512) == sector_of(8));
            let queue = &it.queues("e")[index];
            assert_eq!((&queue["iothread"], &queue["thread-id"]), (name, id));
        }
    }
    assert_eq!(it.holders(), [const { Vec::<Value>::new() }; 2]);
}

/// Chains that no driver makes, and the status that they end with; `None` where there is no place for one.
fn bad_chains() -> Vec<(&'static str, Vec<Descriptor>, Option<u8>)> {
    let last = status();
    let second_last = |flags, next| piece(DATA, 512, NEXT | flags, next);
    let long = MEMORY_SIZE.try_into().unwrap();
    vec![
        ("nothing but a status", vec![last], Some(1)),
        ("no status", vec![piece(DATA, 16, 0, 0)], None),
        (
            "half a header",
            vec![piece(DATA, 8, NEXT, 1), last],
            Some(1),
        ),
        (
            "a header of nothing",
            vec![piece(DATA, 0, NEXT, 1), last],
            Some(1),
        ),
        (
            "a header that the device is to write",
            vec![piece(DATA, 16, NEXT | WRITE, 1), last],
            Some(1),
        ),
        (
            "data that the device is to read",
            vec![header(), second_last(0, 2), last],
            Some(0),
        ),
        (
            "a status that the device is to read",
            vec![header(), second_last(0, 2), piece(DATA, 1, 0, 0)],
            None,
        ),
        (
            "what is to be read after what is to be written",
            vec![header(), second_last(WRITE, 2), second_last(0, 3), last],
            Some(1),
        ),
        (
            "a circle",
            vec![header(), second_last(WRITE, 0), last],
            None,
        ),
        ("a circle of one", vec![piece(DATA, 16, NEXT, 0)], None),
        (
            "a descriptor that does not exist",
            vec![header(), second_last(WRITE, QUEUE_SIZE), last],
            None,
        ),
        (
            "data beyond the memory",
            vec![header(), piece(MEMORY_SIZE, 512, NEXT | WRITE, 2), last],
            Some(1),
        ),
        (
            "data that leave the memory",
            vec![
                header(),
                piece(MEMORY_SIZE - 256, 512, NEXT | WRITE, 2),
                last,
            ],
            Some(1),
        ),
        (
            "data at the end of everything",
            vec![header(), piece(u64::MAX - 100, 512, NEXT | WRITE, 2), last],
            Some(1),
        ),
        (
            "a header beyond the memory",
            vec![piece(MEMORY_SIZE, 16, NEXT, 1), last],
            Some(1),
        ),
        (
            "a status beyond the memory",
            vec![
                header(),
                second_last(WRITE, 2),
                piece(MEMORY_SIZE, 1, WRITE, 0),
            ],
            None,
        ),
        (
            "more than there is",
            vec![header(), piece(0, long, NEXT | WRITE, 2), last],
            Some(1),
        ),
        (
            "more than a chain may have",
            vec![
                header(),
                piece(DATA, u32::MAX, NEXT | WRITE, 2),
                piece(DATA, u32::MAX, NEXT | WRITE, 3),
                last,
            ],
            None,
        ),
        (
            "parts of sectors",
            vec![header(), piece(DATA, 511, NEXT | WRITE, 2), last],
            Some(1),
        ),
        (
            "a table beyond the memory",
            vec![piece(MEMORY_SIZE, 64, INDIRECT, 0)],
            None,
        ),
        (
            "a table of odd length",
            vec![piece(DATA, 63, INDIRECT, 0)],
            None,
        ),
        (
            "a table of nothing",
            vec![piece(DATA, 0, INDIRECT, 0)],
            None,
        ),
    ]
}

#[test]
fn bad_chains_cost_nobody_but_their_guest() {
    let mut it = Fixture::new();
    let options = json!({"writable": true, "iothread": "io0", "num-queues": 2});
    it.export("e", &options);
    let mut guest = Guest::start(&it.socket("e"), 2, 0);
    for (name, chain, wanted) in bad_chains() {
        guest.write_header(IN, 8);
        guest.write_chain(0, &chain);
        guest.submit(0, 0);
        let (head, written) = guest.wait(0);
        assert_eq!(head, 0, "{name}");
        assert_eq!(guest.status(), wanted, "{name}");
        assert_eq!(written, u32::from(wanted.is_some()), "{name}");
        for index in [0, 1] {
            let sector = guest.read_disk(index, 8, 512);
            assert!(sector == sector_of(8), "{name}");
        }
    }
    // Sectors that are not there, and ranges that are too long, in each kind of request.
    let end = SIZE as u64 / 512;
    for sector in [end, end - 1, u64::MAX / 512, u64::MAX] {
        for (kind, flags) in [(IN, WRITE), (OUT, 0)] {
            assert_eq!(guest.request(0, kind, sector, &[(DATA, 1024, flags)]), 1);
        }
        for (kind, length) in [(WRITE_ZEROES, 2), (DISCARD, 2), (DISCARD, u32::MAX)] {
            guest.write(DATA, &range(sector, length, 0));
            assert_eq!(guest.request(0, kind, 0, &[(DATA, 16, 0)]), 1);
        }
    }
    // Flags that are not for that kind, and more than one range.
    for (kind, flags) in [(DISCARD, 1), (WRITE_ZEROES, 2)] {
        guest.write(DATA, &range(0, 1, flags));
        assert_eq!(guest.request(0, kind, 0, &[(DATA, 16, 0)]), 2);
    }
    assert_eq!(guest.request(0, DISCARD, 0, &[(DATA, 32, 0)]), 2);
    assert!(std::fs::read(&it.image).unwrap() == contents());
}

#[test]
fn chains_may_be_in_tables_of_their_own() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0"}));
    let mut guest = Guest::start(&it.socket("e"), 1, 0);
    let table = 0x18_0000;
    let good = [header(), piece(DATA, 512, NEXT | WRITE, 2), status()];
    let circle = [header(), piece(DATA, 512, NEXT | WRITE, 1), status()];
    let nested = [header(), piece(table, 48, INDIRECT, 2), status()];
    for (name, chain, wanted) in [
        ("good", good, Some(0)),
        ("circle", circle, None),
        ("nested", nested, None),
    ] {
        for (index, descriptor) in chain.iter().enumerate() {
            guest.write_descriptor(table + 16 * index as u64, *descriptor);
        }
        guest.write_header(IN, 8);
        guest.write_chain(0, &[piece(table, 48, INDIRECT, 0)]);
        guest.submit(0, 0);
        assert_eq!(guest.wait(0).0, 0, "{name}");
        assert_eq!(guest.status(), wanted, "{name}");
    }
    assert!(guest.read(DATA, 512) == sector_of(8));
    // As long as a table can be, all of it data.
    let huge = piece(table, 16 * 65_535, INDIRECT, 0);
    for index in 0..65_535 {
        let next = (index + 1) as u16;
        let descriptor = piece(DATA, 1, NEXT | WRITE, next);
        guest.write_descriptor(table + 16 * index, descriptor);
    }
    guest.write_chain(0, &[huge]);
    guest.submit(0, 0);
    assert_eq!(guest.wait(0), (0, 0));
    assert!(guest.read_disk(0, 8, 512) == sector_of(8));
}

#[test]
fn a_broken_ring_stands_still_until_it_is_set_up_again() {
    let mut it = Fixture::new();
    let options = json!({"writable": true, "iothread": "io0", "num-queues": 2});
    it.export("e", &options);
    for break_it in [
        // A descriptor that does not exist.
        (|guest: &mut Guest| guest.submit(0, QUEUE_SIZE)) as fn(&mut Guest),
        |guest| guest.submit(0, u16::MAX),
        // More requests than there are places.
        |guest| guest.set_available(0, QUEUE_SIZE + 10),
        |guest| guest.set_available(0, u16::MAX),
    ] {
        let mut guest = Guest::start(&it.socket("e"), 2, 0);
        assert!(guest.read_disk(0, 8, 512) == sector_of(8));
        break_it(&mut guest);
        assert!(guest.is_broken(0));
        // The other one goes on.
        assert!(guest.read_disk(1, 8, 512) == sector_of(8));
        guest.restart_queue(0);
        assert!(guest.read_disk(0, 8, 512) == sector_of(8));
    }
}

/// With indices of events it would say so by them.
#[test]
fn a_guest_that_polls_is_not_woken() {
    let mut it = Fixture::new();
    it.export("e", &json!({"iothread": "io0"}));
    for polls in [false, true] {
        let mut guest = Guest::start(&it.socket("e"), 1, EVENT_IDX);
        if polls {
            guest.silence(0);
        }
        // What starting a queue says is not meant.
        guest.was_called(0);
        guest.write_header(IN, 0);
        let data = piece(DATA, 512, NEXT | WRITE, 2);
        guest.write_chain(0, &[header(), data, status()]);
        guest.submit(0, 0);
        eventually(|| guest.has_all_back(0));
        // When it has stopped, it has said what there is to say.
        guest.frontend.get_vring_base(0).unwrap();
        assert_eq!(guest.was_called(0), !polls);
    }
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let mut it = Fixture::new();
    let options = json!({"writable": true, "iothread": ["io0", "io1"], "num-queues": 2});
    it.export("e", &options);
    for without in [0, EVENT_IDX] {
        let mut guest = Guest::start(&it.socket("e"), 2, without);
        // Twenty requests of three descriptors, together longer than what a queue has in buffers at a time.
        for round in 0..3 {
            for index in [0, 1] {
                guest.write_header(IN, 0);
                for request in 0..20 {
                    let at = 3 * request;
                    let data = piece(DATA, 2 << 20, NEXT | WRITE, at + 2);
                    let chain = [
                        (at, header().with_next(at + 1)),
                        (at + 1, data),
                        (at + 2, status()),
                    ];
                    for (position, descriptor) in chain {
                        guest.write_at(index, position, descriptor);
                    }
                    guest.submit(index, at);
                }
            }
            for index in [0, 1] {
                let mut heads: Vec<u32> = (0..20).map(|_| guest.wait(index).0).collect();
                heads.sort_unstable();
                let wanted: Vec<u32> = (0..20).map(|request| 3 * request).collect();
                assert_eq!(heads, wanted, "round {round}");
            }
        }
    }
}
