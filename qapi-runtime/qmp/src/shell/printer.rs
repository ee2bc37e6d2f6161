//! The terminal, for what comes while a line is being written.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::ExternalPrinter;

/// Prints above the line that is being written. Clones print to the same terminal.
#[derive(Clone)]
pub(super) struct Printer(Option<Arc<Mutex<dyn ExternalPrinter + Send>>>);

impl Printer {
    /// Where the editor has no such thing, since it does not draw, lines go to standard output.
    pub(super) fn new<P: ExternalPrinter + Send + 'static>(printer: Option<P>) -> Self {
        Self(printer.map(|it| Arc::new(Mutex::new(it)) as _))
    }

    /// Prints text, which ends with the end of a line.
    pub(super) fn print(&self, text: String) {
        match &self.0 {
            Some(printer) => {
                let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
                // A terminal that has gone ends the editor, which tells.
                let _ = printer.print(text);
            }
            None => {
                let mut out = io::stdout().lock();
                // As above.
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        }
    }
}
