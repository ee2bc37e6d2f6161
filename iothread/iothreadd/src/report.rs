//! What the server tells those who have started it.

use tracing::Level;

use crate::logging::tell;

/// Writes a line to the standard error stream, whatever is logged.
pub(crate) fn report(text: &str) {
    tell(Level::WARN, text);
}
