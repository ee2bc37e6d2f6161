//! Servers of `vfio-user-pci` that do not behave.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, send_without_reading};

const HEADER: usize = 16;
const VERSION: u16 = 1;
const DEVICE_GET_INFO: u16 = 4;
const DEVICE_GET_REGION_INFO: u16 = 5;
const DMA_READ: u16 = 11;

fn message(command: u16, flags: u32, error: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + payload.len()).unwrap();
    let mut bytes = [0_u16.to_ne_bytes(), command.to_ne_bytes()].concat();
    bytes.extend([size, flags, error].iter().flat_map(|it| it.to_ne_bytes()));
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes a command, and answers it.
fn answer(stream: &mut UnixStream, command: u16, payload: &[u8]) {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[2..4], command.to_ne_bytes());
    let size = u32::from_ne_bytes(header[4..8].try_into().unwrap());
    let mut rest = vec![0; size as usize - HEADER];
    stream.read_exact(&mut rest).unwrap();
    let mut reply = message(command, 1, 0, payload);
    reply[..2].copy_from_slice(&header[..2]);
    stream.write_all(&reply).unwrap();
}

#[test]
fn a_server_that_does_not_read_is_not_read_from() {
    let server = Server::start(&[]);
    let path = server.folder().join("device");
    let listener = UnixListener::bind(&path).unwrap();
    let plugging = std::thread::spawn(move || {
        let mut client = server.client();
        let socket = json!({"type": "unix", "path": path});
        let device = json!({"driver": "vfio-user-pci", "id": "d", "socket": socket});
        client.execute("device_add", device);
        (server, client)
    });
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    answer(&mut stream, VERSION, &[0; 4]);
    // A PCI device without regions.
    let info = [16_u32, 2, 0, 0].map(u32::to_ne_bytes).concat();
    answer(&mut stream, DEVICE_GET_INFO, &info);
    let (_server, mut client) = plugging.join().unwrap();
    let command = message(DMA_READ, 0, 0, &[]);
    let n_taken = send_without_reading(&mut stream, &command, 1 << 20);
    // It goes on once the server reads.
    let refusal = message(DMA_READ, 1 | 1 << 5, 38, &[]);
    let expect = |stream: &mut UnixStream, count: usize| {
        let mut replies = vec![0; count * HEADER];
        stream.read_exact(&mut replies).unwrap();
        assert!(replies == refusal.repeat(count));
    };
    expect(&mut stream, n_taken);
    stream.write_all(&command).unwrap();
    expect(&mut stream, 1);
    client.execute("device_del", json!({"id": "d"}));
    assert_eq!(client.event()["event"], "DEVICE_DELETED");
}

/// The arguments that plug in a device whose server has its socket in the folder of `server`.
fn device(server: &Server, more: Value) -> Value {
    let socket = json!({"type": "unix", "path": server.folder().join("device")});
    let mut device = json!({"driver": "vfio-user-pci", "id": "d", "socket": socket});
    for (name, value) in more.as_object().unwrap() {
        device[name] = value.clone();
    }
    device
}

/// Begins to plug in a device. Returns the session that does so, and the connection to the device's server.
fn begin(server: &Server, more: Value) -> (Client, UnixStream) {
    let listener = UnixListener::bind(server.folder().join("device")).unwrap();
    let mut client = server.client();
    let command = json!({"execute": "device_add", "arguments": device(server, more)});
    client.send(&command.to_string());
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (client, stream)
}

fn internal_threads(client: &mut Client) -> Value {
    client.execute("x-query-internal-iothreads", json!({}))
}

#[test]
fn a_slow_server_holds_up_nobody() {
    let server = Server::start(&[]);
    // The device waits for longer than any part of the test may take.
    let patient = json!({"x-msg-timeout": 600_000});
    let (mut plugging, mut stream) = begin(&server, patient);
    let mut other = server.client();
    other.add_node("n0");
    // Its ID is taken already, but there is nothing to be removed yet.
    assert_eq!(
        other.error("device_add", device(&server, json!({}))),
        "Duplicate device ID 'd'"
    );
    let missing = "Device 'd' not found";
    assert_eq!(other.error("device_del", json!({"id": "d"})), missing);
    let tree = other.execute("qom-list", json!({"path": "/machine/peripheral"}));
    assert_eq!(tree, json!([{"name": "type", "type": "string"}]));
    // The session itself waits.
    plugging.send(r#"{"execute": "query-name", "id": "after"}"#);
    answer(&mut stream, VERSION, &[0; 4]);
    other.execute("blockdev-del", json!({"node-name": "n0"}));
    let info = [16_u32, 2, 0, 0].map(u32::to_ne_bytes).concat();
    answer(&mut stream, DEVICE_GET_INFO, &info);
    assert_eq!(plugging.reply(), json!({"return": {}}));
    assert_eq!(plugging.reply(), json!({"return": {}, "id": "after"}));
    other.execute("device_del", json!({"id": "d"}));
    assert_eq!(other.event()["data"]["device"], "d");
}

/// The human monitor has the command, too, and its other sessions go on.
#[test]
fn a_slow_server_holds_up_no_people() {
    let server = Server::start(&[]);
    let path = server.folder().join("device");
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = server.client();
    // A comma is doubled among options.
    let socket = format!(r#"{{"type":"unix",,"path":"{}"}}"#, path.display());
    let line = format!("device_add vfio-user-pci,id=d,socket={socket},x-msg-timeout=600000");
    let command = json!({"execute": "human-monitor-command", "arguments": {"command-line": line}});
    client.send(&command.to_string());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut other = server.client();
    let line = json!({"command-line": "info block"});
    assert_eq!(other.execute("human-monitor-command", line), "");
    answer(&mut stream, VERSION, &[0; 4]);
    drop(stream);
    let text = client.reply()["return"].clone();
    assert_eq!(
        text,
        "Error: vfio-user: DeviceGetInfo: the server is gone\r\n"
    );
}

#[test]
fn the_whole_handshake_has_a_limit() {
    let server = Server::start(&[]);
    // Longer than an answer takes here, and much less than all of them together.
    let (mut client, mut stream) = begin(&server, json!({"x-msg-timeout": 9000}));
    answer(&mut stream, VERSION, &[0; 4]);
    let info = [16_u32, 2, 64, 0].map(u32::to_ne_bytes).concat();
    answer(&mut stream, DEVICE_GET_INFO, &info);
    let mut n_answers = 0;
    let drip = std::thread::spawn(move || {
        let region = [32_u32, 0, 0, 0, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
        let mut header = [0; HEADER + 32];
        while n_answers < 64 && stream.read_exact(&mut header).is_ok() {
            // This is how slow it is.
            std::thread::sleep(Duration::from_millis(500));
            let mut region = region.clone();
            region[8..12].copy_from_slice(&header[HEADER + 8..HEADER + 12]);
            let mut reply = message(DEVICE_GET_REGION_INFO, 1, 0, &region);
            reply[..2].copy_from_slice(&header[..2]);
            if stream.write_all(&reply).is_err() {
                break;
            }
            n_answers += 1;
        }
        n_answers
    });
    let reply = client.reply();
    let expected = "vfio-user: DeviceGetRegionInfo: no reply in time";
    assert_eq!(reply["error"]["desc"], expected);
    assert!(drip.join().unwrap() < 64);
    // Nothing is left of it.
    let threads = internal_threads(&mut client);
    assert_eq!(threads.as_array().unwrap().len(), 1, "{threads}");
}

#[test]
fn the_server_ends_during_a_handshake() {
    let mut server = Server::start(&[]);
    let (_client, _stream) = begin(&server, json!({"x-msg-timeout": 600_000}));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}
