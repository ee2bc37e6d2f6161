//! Asking a running server.

use std::io;
use std::time::Duration;

use qapi_runtime::client::blocking::Client;
use qapi_runtime::client::{Address, CallOptions, ConnectOptions};

use super::error::Shown;

/// How long a server may take: QEMU answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server at `address` answers to `query-qmp-schema`, as JSON.
///
/// # Errors
///
/// Nobody serves there, or it is not a QMP server, or it does not answer within ten seconds. The text names the address.
pub fn ask(address: &Address) -> io::Result<Vec<u8>> {
    let options = ConnectOptions::new(address.clone())
        .handshake_timeout(PATIENCE)
        .timeout(PATIENCE);
    let answer = Client::connect(options).and_then(|client| {
        let answer = client.execute_raw("query-qmp-schema", None, CallOptions::new());
        client.close();
        answer
    });
    let answer = answer.map_err(|error| {
        let text = error.to_string();
        io::Error::other(format!("{address}: {}", Shown(&text)))
    })?;
    serde_json::to_vec(&answer).map_err(io::Error::from)
}
