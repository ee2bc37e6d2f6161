//! Any bytes from an NBD client that haggles: an export is chosen or the client is cut off, however the bytes come in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::nbd_handshake(input));
