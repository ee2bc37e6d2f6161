//! What becomes of generated files.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use qapi_gen::output::Files;

use super::{console, interrupt};

/// The command as generated files name it; the output folder is not part of it, so that two folders can be compared.
pub(crate) fn command(task: &str, schema: &str) -> String {
    let name = Path::new(schema).file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let printable = name.chars().filter(|ch| !ch.is_control());
    format!("qapi-gen {task} {}", printable.collect::<String>())
}

/// Writes `files`, or names those that are not what would be written.
pub(crate) fn emit(files: &Files<'_>, folder: &Path, check: bool) -> io::Result<ExitCode> {
    if !check {
        interrupt::tidy_up()?;
        files.write(folder).map_err(io::Error::other)?;
        return Ok(ExitCode::SUCCESS);
    }
    let summary = files.check(folder).map_err(io::Error::other)?;
    for complaint in summary.complaints() {
        console::complain(format_args!("{complaint}"))?;
    }
    Ok(if summary.is_current() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
