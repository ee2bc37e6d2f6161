//! `lint`: the layout of the source, and what the compiler and clippy say about all of it.

use anyhow::Result;

use crate::process::{cargo, succeed};

/// Fails if something is not laid out as rustfmt does it, or if there is a warning anywhere: benches and examples are looked at, too.
pub(crate) fn run() -> Result<()> {
    succeed(cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets"]);
    succeed(clippy.args(["--all-features", "--", "--deny", "warnings"]))
}
