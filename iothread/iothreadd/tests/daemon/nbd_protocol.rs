//! The NBD protocol, as it should be and broken at every step.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Client, Server};
use crate::nbd::{
    BLOCK_STATUS, CACHE, DISC, FLUSH, Nbd, READ, TRIM, WRITE, WRITE_ZEROES, info, queries,
};

const MIB: usize = 1 << 20;

const EPERM: u32 = 1;
const EINVAL: u32 = 22;
const ENOSPC: u32 = 28;

/// A server with the exports "rw" and "ro" of one image, on an IOThread.
fn start() -> (Server, Client, PathBuf) {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    let image = server.folder().join("image");
    let mut data = vec![7; MIB];
    data[4096 * 4..4096 * 8].fill(0);
    std::fs::write(&image, data).unwrap();
    let node = json!({"driver": "file", "node-name": "n0", "filename": image, "discard": "unmap"});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    for (id, writable) in [("rw", true), ("ro", false)] {
        let export = json!({"type": "nbd", "id": id, "name": id, "node-name": "n0", "iothread": "io0",
                            "writable": writable, "description": format!("it is {id}")});
        client.execute("block-export-add", export);
    }
    (server, client, socket)
}

/// The exports still work, have no clients, and nothing is left after them.
fn check_alive(mut client: Client, socket: &Path) {
    assert_eq!(Nbd::open(socket, "rw").read(0, 4), [7; 4]);
    for id in ["rw", "ro"] {
        client.execute("block-export-del", json!({"id": id, "mode": "hard"}));
        assert_eq!(client.event()["data"], json!({"id": id}));
    }
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    client.execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn haggling_that_is_no_haggling_ends() {
    let (_server, client, socket) = start();
    let option = |magic: &[u8; 8], number: u32, length: u32| {
        let mut bytes = 3_u32.to_be_bytes().to_vec();
        bytes.extend(magic);
        bytes.extend(number.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>); 6] = [
        ("unknown flags", 4_u32.to_be_bytes().to_vec()),
        ("all flags", u32::MAX.to_be_bytes().to_vec()),
        ("no option", option(b"IHAVENOT", 7, 0)),
        ("endless data", option(b"IHAVEOPT", 7, u32::MAX)),
        ("a name too long", option(b"IHAVEOPT", 1, 1 << 20)),
        ("an old client that asks", {
            let mut bytes = option(b"IHAVEOPT", 3, 0);
            bytes[..4].fill(0);
            bytes
        }),
    ];
    for (name, bytes) in cases {
        let mut nbd = Nbd::connect(&socket);
        nbd.send(&bytes);
        assert!(nbd.is_closed(), "{name}");
    }
    // Half of anything, and then nothing.
    let whole = option(b"IHAVEOPT", 1, 2);
    for end in 0..whole.len() {
        let mut nbd = Nbd::connect(&socket);
        nbd.send(&whole[..end]);
    }
    check_alive(client, &socket);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let (_server, client, socket) = start();
    let mut nbd = Nbd::haggle(&socket);
    let refusals: [(&str, u32, Vec<u8>, u32); 15] = [
        ("list with data", 3, vec![0], 3),
        ("TLS", 5, vec![], 2),
        ("unknown option", 77, vec![1, 2, 3], 1),
        ("extended headers", 11, vec![], 1),
        ("info without a name", 6, vec![], 3),
        ("info with half a name", 6, vec![0, 0, 0, 9, 1], 3),
        ("go without requests", 7, vec![0, 0, 0, 0], 3),
        (
            "go with fewer requests than said",
            7,
            vec![0, 0, 0, 0, 0, 2, 0, 0],
            3,
        ),
        (
            "go with more requests than said",
            7,
            vec![0, 0, 0, 0, 0, 0, 0, 0],
            3,
        ),
        ("unknown export", 7, info("nope", &[]), 6),
        ("an endless name", 7, vec![255; 6], 3),
        ("contexts too early", 9, queries("rw", &[]), 3),
        ("structured replies with data", 8, vec![0], 3),
        (
            "a name too long for any",
            6,
            info(&"x".repeat(5000), &[]),
            3,
        ),
        ("data too long", 7, vec![0; 70_000], 9),
    ];
    for (name, option, data, kind) in refusals {
        nbd.ask(option, &data);
        let reply = nbd.option_reply();
        assert_eq!(
            (reply.option, reply.kind),
            (option, 1 << 31 | kind),
            "{name}"
        );
        assert!(std::str::from_utf8(&reply.data).is_ok_and(|text| !text.is_empty()));
    }
    nbd.ask(8, &[]);
    assert_eq!(nbd.option_reply().kind, 1);
    let contexts: [(&str, u32, Vec<u8>, u32); 5] = [
        ("structured replies twice", 8, vec![], 3),
        ("of an unknown export", 10, queries("nope", &[]), 6),
        ("without a number", 10, vec![0, 0, 0, 0], 6),
        (
            "fewer queries than said",
            10,
            vec![0, 0, 0, 2, b'r', b'w', 0, 0, 0, 1],
            3,
        ),
        (
            "more than the queries",
            9,
            [queries("rw", &[]), vec![0]].concat(),
            3,
        ),
    ];
    for (name, option, data, kind) in contexts {
        nbd.ask(option, &data);
        assert_eq!(nbd.option_reply().kind, 1 << 31 | kind, "{name}");
    }
    // After all that it can still be served.
    nbd.ask(2, &[]);
    assert_eq!(nbd.option_reply().kind, 1);
    assert!(nbd.is_closed());
    check_alive(client, &socket);
}

#[test]
fn exports_are_described() {
    let (_server, client, socket) = start();
    let mut nbd = Nbd::haggle(&socket);
    nbd.ask(3, &[]);
    let listed = [nbd.option_reply(), nbd.option_reply()].map(|it| it.data);
    assert_eq!(listed, [b"\0\0\0\x02rwit is rw", b"\0\0\0\x02roit is ro"]);
    assert_eq!(nbd.option_reply().kind, 1);
    nbd.ask(8, &[]);
    nbd.option_reply();
    nbd.ask(6, &info("ro", &[1, 2, 3, 99]));
    let mut infos = Vec::new();
    loop {
        let reply = nbd.option_reply();
        if reply.kind == 1 {
            break;
        }
        assert_eq!(reply.kind, 3);
        infos.push(reply.data);
    }
    let size = u64::try_from(MIB).unwrap().to_be_bytes();
    // Flags: there are flags, read-only, flush, FUA, DF, several connections, cache.
    let flags = 0b101_1000_1111_u16.to_be_bytes();
    assert_eq!(
        infos,
        [
            b"\0\x01ro".to_vec(),
            b"\0\x02it is ro".to_vec(),
            b"\0\x03\0\0\0\x01\0\0\x10\0\x02\0\0\0".to_vec(),
            [&[0, 0], &size[..], &flags].concat(),
        ]
    );
    let names = |nbd: &mut Nbd, option: u32, texts: &[&str]| {
        nbd.ask(option, &queries("ro", texts));
        let mut found = Vec::new();
        loop {
            let reply = nbd.option_reply();
            if reply.kind == 1 {
                return found;
            }
            assert_eq!(reply.kind, 4);
            found.push(String::from_utf8(reply.data[4..].to_vec()).unwrap());
        }
    };
    let all = ["base:allocation"];
    assert_eq!(names(&mut nbd, 9, &[]), all);
    assert_eq!(names(&mut nbd, 9, &["base:"]), all);
    assert_eq!(names(&mut nbd, 9, &["qemu:", "base:allocation"]), all);
    assert_eq!(names(&mut nbd, 10, &[]), [""; 0]);
    assert_eq!(names(&mut nbd, 10, &["base:"]), [""; 0]);
    assert_eq!(names(&mut nbd, 10, &["x:y", "base:allocation"]), all);
    drop(nbd);
    check_alive(client, &socket);
}

#[test]
fn the_oldest_way_to_choose_an_export_works() {
    let (_server, client, socket) = start();
    for (flags, zeroes) in [(0_u32, 124), (3, 0)] {
        let mut nbd = Nbd::connect(&socket);
        nbd.send(&flags.to_be_bytes());
        nbd.ask(1, b"rw");
        let chosen = nbd.bytes(10 + zeroes);
        assert_eq!(chosen[..8], u64::try_from(MIB).unwrap().to_be_bytes());
        assert!(chosen[10..].iter().all(|byte| *byte == 0));
        assert_eq!(nbd.read(1, 3), [7; 3]);
    }
    let mut nbd = Nbd::haggle(&socket);
    nbd.ask(1, b"nope");
    assert!(nbd.is_closed());
    check_alive(client, &socket);
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let (_server, client, socket) = start();
    let end = u64::try_from(MIB).unwrap();
    let mut nbd = Nbd::open(&socket, "rw");
    let refused = [
        ("read beyond the end", READ, 0, end - 1, 2, EINVAL),
        ("read far beyond the end", READ, 0, u64::MAX, 2, EINVAL),
        ("read too long", READ, 0, 0, (32 << 20) + 1, EINVAL),
        ("zeroes beyond the end", WRITE_ZEROES, 0, end - 1, 2, ENOSPC),
        ("trim beyond the end", TRIM, 0, end, 1, EINVAL),
        ("cache beyond the end", CACHE, 0, end, 1, EINVAL),
        ("status not negotiated", BLOCK_STATUS, 0, 0, 512, EINVAL),
        ("unknown flag", READ, 1 << 9, 0, 1, EINVAL),
        ("DF without structured replies", READ, 4, 0, 1, EINVAL),
        ("unknown request", 42, 0, 0, 0, EINVAL),
    ];
    for (name, command, flags, offset, length, error) in refused {
        assert_eq!(
            nbd.exchange(command, flags, offset, length),
            error,
            "{name}"
        );
    }
    // What was to be written has to be thrown away before the next request.
    for (offset, flags, length, error) in [
        (end - 1, 0, 512, ENOSPC),
        (0, 1 << 9, 70_000, EINVAL),
        (0, 0, (32 << 20) + 1, EINVAL),
    ] {
        let cookie = nbd.request(WRITE, flags, offset, length);
        nbd.send(&vec![1; length as usize]);
        assert_eq!(nbd.simple(), (cookie, error));
    }
    assert_eq!(nbd.read(end - 4, 4), [7; 4]);
    let mut nbd = Nbd::open(&socket, "ro");
    for command in [WRITE_ZEROES, TRIM] {
        assert_eq!(nbd.exchange(command, 0, 0, 512), EPERM);
    }
    let cookie = nbd.request(WRITE, 0, 0, 3);
    nbd.send(&[1, 2, 3]);
    assert_eq!(nbd.simple(), (cookie, EPERM));
    assert_eq!(nbd.exchange(FLUSH, 0, 0, 0), 0);
    assert_eq!(nbd.read(0, 4), [7; 4]);
    drop(nbd);
    check_alive(client, &socket);
}

#[test]
fn clients_that_leave_in_the_middle_leave_nothing() {
    let (_server, client, socket) = start();
    let mut nbd = Nbd::open(&socket, "rw");
    nbd.send(&[0; 28]);
    assert!(nbd.is_closed());
    // Half a header; half the data; a reply that nobody takes.
    Nbd::open(&socket, "rw").send(&[0x25, 0x60]);
    let mut nbd = Nbd::open(&socket, "rw");
    nbd.request(WRITE, 0, 0, 100_000);
    nbd.send(&[9; 5000]);
    drop(nbd);
    for _ in 0..40 {
        let mut nbd = Nbd::open(&socket, "rw");
        for _ in 0..64 {
            nbd.request(READ, 0, 0, u32::try_from(MIB).unwrap());
        }
    }
    // Who says good-bye is answered before.
    let mut nbd = Nbd::open(&socket, "rw");
    let cookie = nbd.request(WRITE_ZEROES, 1, 4096, 4096);
    nbd.request(DISC, 0, 0, 0);
    assert_eq!(nbd.simple(), (cookie, 0));
    assert!(nbd.is_closed());
    check_alive(client, &socket);
}

#[test]
fn data_are_what_was_written() {
    let (server, client, socket) = start();
    let mut nbd = Nbd::open(&socket, "rw");
    let data: Vec<u8> = (0..300_000_u32).map(|it| it.to_le_bytes()[1] | 1).collect();
    nbd.write(12_345, &data);
    assert_eq!(nbd.read(12_345, 300_000), data);
    // Another connection, on another thread perhaps, sees the same.
    assert_eq!(Nbd::open(&socket, "ro").read(12_345, 300_000), data);
    // Many at a time, answered in any order.
    let cookies: Vec<u64> = (0..200)
        .map(|index| {
            let cookie = nbd.request(WRITE, 0, 512 * index, 512);
            nbd.send(&[u8::try_from(index).unwrap(); 512]);
            cookie
        })
        .collect();
    let mut answered: Vec<u64> = (0..200)
        .map(|_| {
            let (cookie, error) = nbd.simple();
            assert_eq!(error, 0);
            cookie
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, cookies);
    for index in 0..200 {
        let sector = nbd.read(512 * index, 512);
        assert_eq!(sector, [u8::try_from(index).unwrap(); 512]);
    }
    assert_eq!(nbd.exchange(WRITE_ZEROES, 1 << 1, 512, 1024), 0);
    assert_eq!(nbd.exchange(TRIM, 0, 65_536, 65_536), 0);
    assert_eq!(nbd.exchange(FLUSH, 0, 0, 0), 0);
    assert_eq!(nbd.exchange(CACHE, 0, 0, 4096), 0);
    let image = std::fs::read(server.folder().join("image")).unwrap();
    assert_eq!(image.len(), MIB);
    assert_eq!(image[511], 0);
    assert_eq!(image[512..1536], [0; 1024]);
    assert_eq!(image[1536], 3);
    assert_eq!(image[65_536..131_072], vec![0; 65_536]);
    nbd.write(0, &[7; 4]);
    check_alive(client, &socket);
}

#[test]
fn structured_replies_have_holes() {
    let (_server, client, socket) = start();
    let mut nbd = Nbd::open_structured(&socket, "rw");
    // 16 KiB of data, 16 KiB of zeroes, and more data.
    let cookie = nbd.request(READ, 0, 8192, 32 << 10);
    let chunks = [nbd.chunk(), nbd.chunk(), nbd.chunk()];
    assert!(chunks.iter().all(|chunk| chunk.cookie == cookie));
    assert_eq!(
        chunks.each_ref().map(|it| (it.kind, it.done)),
        [(1, false), (2, false), (1, true)]
    );
    assert_eq!(chunks[0].payload[..8], 8192_u64.to_be_bytes());
    assert_eq!(chunks[0].payload[8..], [7; 8192]);
    assert_eq!(
        chunks[1].payload,
        [&16_384_u64.to_be_bytes()[..], &16_384_u32.to_be_bytes()].concat()
    );
    assert_eq!(chunks[2].payload[..8], 32_768_u64.to_be_bytes());
    // In one piece if it has to be.
    nbd.request(READ, 4, 8192, 32 << 10);
    let whole = nbd.chunk();
    assert_eq!(
        (whole.kind, whole.done, whole.payload.len()),
        (1, true, 8 + (32 << 10))
    );
    nbd.request(READ, 0, 16_384, 4096);
    let hole = nbd.chunk();
    assert_eq!((hole.kind, hole.done), (2, true));
    nbd.request(READ, 0, 0, 0);
    let nothing = nbd.chunk();
    assert_eq!(
        (nothing.kind, nothing.done, nothing.payload.len()),
        (0, true, 0)
    );
    let cookie = nbd.request(READ, 0, u64::MAX, 512);
    let error = nbd.chunk();
    assert_eq!(
        (error.kind, error.done, error.cookie),
        (1 << 15 | 1, true, cookie)
    );
    assert_eq!(error.payload[..4], EINVAL.to_be_bytes());
    assert_eq!(nbd.exchange(TRIM, 0, 65_536, 65_536), 0);
    // Data, a hole, and data again; the first alone if that is enough.
    let status = |nbd: &mut Nbd, flags: u16| -> Vec<(u32, u32)> {
        nbd.request(BLOCK_STATUS, flags, 0, 1 << 20);
        let chunk = nbd.chunk();
        assert_eq!((chunk.kind, chunk.done), (5, true));
        assert_eq!(chunk.payload[..4], [0; 4]);
        let extents = chunk.payload[4..].chunks(8);
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        extents
            .map(|it| (number(&it[..4]), number(&it[4..])))
            .collect()
    };
    assert_eq!(
        status(&mut nbd, 0),
        [(65_536, 0), (65_536, 3), (917_504, 0)]
    );
    assert_eq!(status(&mut nbd, 8), [(65_536, 0)]);
    nbd.request(BLOCK_STATUS, 0, 0, 0);
    assert_eq!(nbd.chunk().payload[..4], EINVAL.to_be_bytes());
    drop(nbd);
    check_alive(client, &socket);
}

#[test]
fn garbage_is_survived() {
    let (_server, client, socket) = start();
    let mut state = 99_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    for round in 0..300 {
        // After nothing, after the flags, after an option, or after a choice.
        let mut nbd = match round % 4 {
            0 => Nbd::connect(&socket),
            1 => Nbd::haggle(&socket),
            2 => Nbd::open(&socket, "rw"),
            _ => Nbd::open_structured(&socket, "ro"),
        };
        let length = usize::try_from(random() % 200).unwrap();
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < length {
            // Pieces of the protocol make garbage go deeper.
            match random() % 5 {
                0 => bytes.extend(0x4948_4156_454f_5054_u64.to_be_bytes()),
                1 => bytes.extend(0x2560_9513_u32.to_be_bytes()),
                2 => bytes.extend((random() % 12).to_be_bytes()),
                3 => bytes.extend(u32::try_from(random() % 12).unwrap().to_be_bytes()),
                _ => bytes.extend(random().to_le_bytes()),
            }
        }
        // The server may have hung up before the end.
        let _ = std::io::Write::write_all(&mut nbd.stream, &bytes);
    }
    let mut nbd = Nbd::open(&socket, "rw");
    nbd.write(0, &[7; 4]);
    drop(nbd);
    check_alive(client, &socket);
}
