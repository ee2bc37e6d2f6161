//! The NBD server: where it listens, and how many clients it has.

use serde_json::json;

use crate::exports::Fixture;
use crate::nbd::{self, Nbd};

#[test]
fn the_server_listens_where_it_is_told() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let inet = |host: &str, port: &str| json!({"addr": {"type": "inet", "data": {"host": host, "port": port}}});
    for (address, text) in [
        (
            inet("127.0.0.1", "abc"),
            "address resolution failed for 127.0.0.1:abc: Servname not supported for ai_socktype",
        ),
        (
            inet("192.0.2.1", "0"),
            "Failed to bind socket: Cannot assign requested address",
        ),
        (
            json!({"addr": {"type": "fd", "data": {"str": "nope"}}}),
            "File descriptor named 'nope' has not been found",
        ),
    ] {
        assert_eq!(it.client.error("nbd-server-start", address), text);
    }
    // A port that is free now; somebody may take it in between.
    let port = loop {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let address = inet("127.0.0.1", &port.to_string());
        let reply = it.client.exchange("nbd-server-start", address);
        if reply["return"] == json!({}) {
            break port;
        }
        let text = &reply["error"]["desc"];
        assert_eq!(text, "Failed to bind socket: Address already in use");
    };
    it.export_ok("e", json!({}));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut greeting = [0; 18];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    assert_eq!(&greeting[..8], b"NBDMAGIC");
}

#[test]
fn one_connection_more_than_allowed_waits() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 1});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": "io0"}));
    let mut first = Nbd::haggle(&it.socket());
    first.ask(7, &nbd::info("e", &[]));
    loop {
        let reply = first.option_reply();
        if reply.kind == 1 {
            break;
        }
        if reply.data[..2] == [0, 0] {
            // It is not to be shared between connections.
            let flags = u16::from_be_bytes(reply.data[10..12].try_into().unwrap());
            assert_eq!(flags & 1 << 8, 0);
        }
    }
    let path = it.socket();
    let second = std::thread::spawn(move || Nbd::open(&path, "e").read(0, 4));
    assert_eq!(first.read(0, 4), [7; 4]);
    first.request(nbd::DISC, 0, 0, 0);
    assert_eq!(second.join().unwrap(), [7; 4]);
}

#[test]
fn one_that_leaves_while_another_comes_makes_room() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 2});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": "io0"}));
    for _ in 0..500 {
        let mut leaving = Nbd::open(&it.socket(), "e");
        let path = it.socket();
        let coming = std::thread::spawn(move || Nbd::open(&path, "e"));
        leaving.request(nbd::DISC, 0, 0, 0);
        assert_eq!(coming.join().unwrap().read(0, 4), [7; 4]);
    }
}

#[test]
fn a_client_that_dawdles_is_disconnected() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "handshake-max-seconds": 1});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({}));
    let mut chosen = Nbd::open(&it.socket(), "e");
    let mut dawdler = Nbd::haggle(&it.socket());
    assert!(dawdler.is_closed());
    assert_eq!(chosen.read(0, 4), [7; 4]);
}

#[test]
fn clients_come_in_whenever_there_is_room() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 2});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": ["io0", "io1"]}));
    let path = it.socket();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(Nbd::open(&path, "e").read(0, 4), [7; 4]);
                }
            });
        }
    });
}
