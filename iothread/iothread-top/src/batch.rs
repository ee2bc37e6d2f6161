//! Tables one after the other, for scripts and logs.

use std::io::{self, Write};

use qapi_runtime::client::ClientError;

use super::options::Options;
use super::source::Source;
use super::table;

/// Prints until the count is reached, the reader goes away, or the server does.
pub(crate) fn run(source: &mut Source, options: &Options) -> Result<(), ClientError> {
    let mut n_left = options.count;
    // Busy times need two looks.
    source.look()?;
    while n_left != Some(0) {
        std::thread::sleep(options.interval());
        let snapshot = source.look()?;
        let mut text = table::lines(&snapshot).join("\n");
        text.push('\n');
        n_left = n_left.map(|left| left - 1);
        if n_left != Some(0) {
            // A blank line is between two tables.
            text.push('\n');
        }
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
