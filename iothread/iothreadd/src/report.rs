//! What the server tells those who have started it.

use std::io::Write;

/// Writes a line to the standard error stream, which may be gone.
pub(crate) fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "iothreadd: {text}");
}
