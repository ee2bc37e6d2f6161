//! What a task says. An output that cannot be written, because it is full or its reader went away, does not cause a panic: the
//! task goes on, tidies up after itself, and fails.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether anything could not be written.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    note(writeln!(io::stdout(), "{line}"));
}

/// Writes a line to standard error.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    note(writeln!(io::stderr(), "{line}"));
}

fn note(written: io::Result<()>) {
    if written.is_err() {
        IS_LOST.store(true, Ordering::Relaxed);
    }
}

/// Whether anything could not be written.
pub(crate) fn is_lost() -> bool {
    IS_LOST.load(Ordering::Relaxed)
}
