//! Any text as the name of something: it is refused or understood.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::names(input));
