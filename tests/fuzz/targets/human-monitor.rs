//! Any bytes typed into a human monitor: lines come out, and a terminal is shown the same however its keys come.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| iothreadd::fuzz::human_monitor(input));
