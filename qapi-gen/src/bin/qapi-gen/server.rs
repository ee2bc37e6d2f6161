//! A running server in the place of a schema, by its address.

use std::io;

use qapi_gen::loader::MemoryLoader;

/// What addresses begin with: the forms of `qapi_runtime::address`, except a bare path, which is that of a file.
const KINDS: [&str; 6] = ["unix:", "tcp:", "vsock:", "pipe:", "fd:", "exec:"];

/// Whether `path` is the address of a server.
pub(crate) fn is_address(path: &str) -> bool {
    KINDS.iter().any(|kind| path.starts_with(kind))
}

/// What the server at `path` tells of itself, as the file at that path; `None` if `path` is not an address.
pub(crate) fn ask(path: &str) -> io::Result<Option<MemoryLoader>> {
    if !is_address(path) {
        return Ok(None);
    }
    let told = ask_at(path)?;
    Ok(Some(MemoryLoader::new().with(path, told)))
}

#[cfg(feature = "live")]
pub(crate) fn ask_at(address: &str) -> io::Result<Vec<u8>> {
    use qapi_runtime::address::Address;

    let in_address = |error| io::Error::other(format!("{address}: {error}"));
    qapi_gen::introspection::ask(&address.parse::<Address>().map_err(in_address)?)
}

#[cfg(not(feature = "live"))]
pub(crate) fn ask_at(address: &str) -> io::Result<Vec<u8>> {
    let reason = "this qapi-gen was built without the feature 'live', and asks no server";
    Err(io::Error::other(format!("{address}: {reason}")))
}
