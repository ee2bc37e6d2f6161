//! Any bytes from a vhost-user client and in the memory of its guest: requests are within the disk and the memory.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::vhost_user(input));
