//! Expected outputs that are checked in.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::reference::first_difference;

/// Whether expected outputs are written instead of compared: `BLESS=1`, and nothing else.
#[must_use]
pub fn is_blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// Compares a text with the file at `path`, or writes it there.
///
/// # Errors
///
/// The first line that differs; or the file cannot be read or written.
pub fn compare(path: &Path, actual: &str) -> Result<()> {
    if is_blessing() {
        return std::fs::write(path, actual)
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let expected = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; BLESS=1 writes it", path.display()))?;
    if actual == expected {
        return Ok(());
    }
    let difference = first_difference(&expected, actual);
    bail!("{}: {difference}\nBLESS=1 writes it anew", path.display());
}
