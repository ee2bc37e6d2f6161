//! Windows.

use std::io;
use std::net::TcpListener;

/// A socket that the program was started with: here a program is started with none.
pub(crate) fn inherited(_number: i32) -> io::Result<TcpListener> {
    let reason = "Windows starts no program with sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}
