//! Threads of the program.

use std::io;

/// Why a thread could not be started. The system's error alone does not say what it is about.
pub(crate) fn not_started(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot start a thread: {error}"))
}
