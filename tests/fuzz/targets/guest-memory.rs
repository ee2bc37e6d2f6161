//! Any pieces of memory from a vhost-user client: all that is taken can be used, and addresses lead into it or nowhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::guest_memory(input));
