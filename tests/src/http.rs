//! HTTP as a reader of metrics speaks it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::PATIENCE;

/// Head and body of an answer. Without keep-alive it ends when the connection does.
///
/// # Panics
///
/// Nobody listens there, or the answer is no text.
#[must_use]
pub fn get(at: &str, path: &str, accept: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    exchange(at, request.as_bytes())
}

/// Head and body of the answer to anything.
///
/// # Panics
///
/// As [`get`].
#[must_use]
pub fn exchange(at: &str, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(at).expect("somebody listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket has a time");
    // A client that is refused may be cut off, in the middle of a request, too.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("an answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}
