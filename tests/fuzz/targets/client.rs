//! Any bytes from a server: the client's core ends with them, one way or the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_runtime::client::Dialect;
use qapi_runtime::client::protocol::ClientCore;

fuzz_target!(|input: &[u8]| {
    for dialect in [Dialect::Qmp, Dialect::GuestAgent] {
        let mut core = ClientCore::new(dialect, true, 1);
        let mut rest = input;
        while !rest.is_empty() {
            let before = rest.len();
            match core.receive(&mut rest) {
                Ok(Some(_)) => assert!(rest.len() < before),
                Ok(None) => assert!(rest.is_empty()),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    break;
                }
            }
            core.take_output();
        }
    }
});
