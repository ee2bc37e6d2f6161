//! Any text as an option of iothreadd, or a description in its human monitor: it is refused or read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::options(input));
