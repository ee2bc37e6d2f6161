//! `lint`: the layout of the source, and what the compiler, clippy and rustdoc say about all of it.

use anyhow::Result;

use crate::process::{cargo, succeed};

/// Fails if something is not laid out as rustfmt does it, or if there is a warning anywhere: benches and examples are looked at,
/// too, and the pages of the documentation.
pub(crate) fn run() -> Result<()> {
    succeed(cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets"]);
    succeed(clippy.args(["--all-features", "--", "--deny", "warnings"]))?;
    let mut doc = cargo();
    doc.args(["doc", "--quiet", "--workspace", "--all-features"]);
    doc.arg("--no-deps").env("RUSTDOCFLAGS", "--deny warnings");
    succeed(&mut doc)
}
