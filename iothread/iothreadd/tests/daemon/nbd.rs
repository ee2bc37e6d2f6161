//! A client of the NBD protocol that can also break it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::harness::PATIENCE;

/// Numbers of the protocol, written out here once more so that a mistake in the server's is found.
const OPTION: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;

pub(crate) const READ: u16 = 0;
pub(crate) const WRITE: u16 = 1;
pub(crate) const DISC: u16 = 2;
pub(crate) const FLUSH: u16 = 3;
pub(crate) const TRIM: u16 = 4;
pub(crate) const CACHE: u16 = 5;
pub(crate) const WRITE_ZEROES: u16 = 6;
pub(crate) const BLOCK_STATUS: u16 = 7;

/// A connection.
pub(crate) struct Nbd {
    pub(crate) stream: UnixStream,
}

/// A reply to an option.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OptionReply {
    pub(crate) option: u32,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
}

/// A chunk of a structured reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) done: bool,
    pub(crate) kind: u16,
    pub(crate) cookie: u64,
    pub(crate) payload: Vec<u8>,
}

impl Nbd {
    /// Connects and takes the greeting.
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut nbd = Self { stream };
        let greeting = nbd.bytes(18);
        assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
        assert_eq!(greeting[16..], [0, 3]);
        nbd
    }

    /// Connects, and agrees on the newer ways of haggling.
    pub(crate) fn haggle(path: &Path) -> Self {
        let mut nbd = Self::connect(path);
        nbd.send(&3_u32.to_be_bytes());
        nbd
    }

    /// Connects to an export, with simple replies.
    pub(crate) fn open(path: &Path, export: &str) -> Self {
        let mut nbd = Self::haggle(path);
        nbd.go(export);
        nbd
    }

    /// Connects to an export, with structured replies and `base:allocation`.
    pub(crate) fn open_structured(path: &Path, export: &str) -> Self {
        let mut nbd = Self::haggle(path);
        nbd.ask(8, &[]);
        assert_eq!(nbd.option_reply().kind, 1);
        nbd.ask(10, &queries(export, &["base:allocation"]));
        let context = nbd.option_reply();
        assert_eq!(context.kind, 4);
        assert_eq!(context.data, b"\0\0\0\0base:allocation");
        assert_eq!(nbd.option_reply().kind, 1);
        nbd.go(export);
        nbd
    }

    fn go(&mut self, export: &str) {
        self.ask(7, &info(export, &[]));
        while self.option_reply().kind != 1 {}
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads `count` bytes, and does not keep them.
    pub(crate) fn skip(&mut self, count: u64) {
        let mut bytes = (&mut self.stream).take(count);
        assert_eq!(io::copy(&mut bytes, &mut io::sink()).unwrap(), count);
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes(8).try_into().unwrap())
    }

    /// Whether the server hangs up without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1];
        match self.stream.read(&mut rest) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    pub(crate) fn ask(&mut self, option: u32, data: &[u8]) {
        let mut bytes = OPTION.to_be_bytes().to_vec();
        bytes.extend(option.to_be_bytes());
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
        self.send(&bytes);
    }

    pub(crate) fn option_reply(&mut self) -> OptionReply {
        assert_eq!(self.u64(), OPTION_REPLY);
        let option = self.u32();
        let kind = self.u32();
        let length = self.u32();
        let data = self.bytes(length as usize);
        OptionReply { option, kind, data }
    }

    /// Sends a request; its cookie is made of its command and its offset.
    pub(crate) fn request(&mut self, command: u16, flags: u16, offset: u64, length: u32) -> u64 {
        let (cookie, bytes) = request(command, flags, offset, length);
        self.send(&bytes);
        cookie
    }

    /// Takes a simple reply: its cookie and its error.
    pub(crate) fn simple(&mut self) -> (u64, u32) {
        assert_eq!(self.u32(), 0x6744_6698);
        let error = self.u32();
        (self.u64(), error)
    }

    pub(crate) fn chunk(&mut self) -> Chunk {
        assert_eq!(self.u32(), 0x668e_33ef);
        let done = self.u16() & 1 != 0;
        let kind = self.u16();
        let cookie = self.u64();
        let length = self.u32();
        let payload = self.bytes(length as usize);
        Chunk {
            done,
            kind,
            cookie,
            payload,
        }
    }

    /// A request without data either way, and its error.
    pub(crate) fn exchange(&mut self, command: u16, flags: u16, offset: u64, length: u32) -> u32 {
        let cookie = self.request(command, flags, offset, length);
        let (answered, error) = self.simple();
        assert_eq!(answered, cookie);
        error
    }

    pub(crate) fn read(&mut self, offset: u64, length: u32) -> Vec<u8> {
        assert_eq!(self.exchange(READ, 0, offset, length), 0);
        self.bytes(length as usize)
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        let cookie = self.request(WRITE, 0, offset, length);
        self.send(data);
        assert_eq!(self.simple(), (cookie, 0));
    }
}

/// The cookie and the bytes of a request.
pub(crate) fn request(command: u16, flags: u16, offset: u64, length: u32) -> (u64, Vec<u8>) {
    let cookie = u64::from(command) << 48 | offset & 0xffff_ffff;
    let mut bytes = REQUEST.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    (cookie, bytes)
}

/// The data of `INFO` and `GO`.
pub(crate) fn info(export: &str, requests: &[u16]) -> Vec<u8> {
    let mut data = string(export);
    data.extend(u16::try_from(requests.len()).unwrap().to_be_bytes());
    data.extend(requests.iter().flat_map(|it| it.to_be_bytes()));
    data
}

/// The data of `SET_META_CONTEXT` and `LIST_META_CONTEXT`.
pub(crate) fn queries(export: &str, queries: &[&str]) -> Vec<u8> {
    let mut data = string(export);
    data.extend(u32::try_from(queries.len()).unwrap().to_be_bytes());
    data.extend(queries.iter().flat_map(|it| string(it)));
    data
}

fn string(text: &str) -> Vec<u8> {
    let mut data = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    data.extend(text.as_bytes());
    data
}
