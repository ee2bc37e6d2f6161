//! Servers of `vfio-user-pci` that do not behave.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::json;

use crate::harness::{PATIENCE, Server, send_without_reading};

const HEADER: usize = 16;
const VERSION: u16 = 1;
const DEVICE_GET_INFO: u16 = 4;
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
