//! Any bytes from an NBD client that uses an export: what is carried out is within it, and no memory is left over.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::nbd_requests(input));
