//! Any bytes as packets of two copies of a guest: each is let through once at most, and nothing is left over.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::colo(input));
