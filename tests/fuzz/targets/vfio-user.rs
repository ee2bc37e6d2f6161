//! Any bytes from a vfio-user server: messages come out the same however they come in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::vfio_user(input));
