//! Anything that a server may tell of itself: it is refused or compared, and does not differ from itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_gen::diff::{Interface, Perspective, compare};

fuzz_target!(|text: &str| {
    if let Ok(interface) = Interface::of_introspection(text) {
        for perspective in [Perspective::Clients, Perspective::Servers] {
            assert!(compare(&interface, &interface, perspective).is_empty());
        }
    }
});
