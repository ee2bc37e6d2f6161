//! What all systems have that are like Unix.

use std::io;
use std::net::TcpListener;

use qapi_runtime::descriptor;

/// A socket that the program was started with.
pub(crate) fn inherited(number: i32) -> io::Result<TcpListener> {
    descriptor::inherited(number).map(TcpListener::from)
}
