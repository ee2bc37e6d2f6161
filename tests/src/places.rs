//! Where things are.

use std::path::PathBuf;

/// The top folder of the workspace that this program is run for. Cargo says so when it runs something; what was compiled
/// in may be the folder of another checkout with the same target folder.
///
/// # Panics
///
/// When there is no workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let top = package
        .ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file());
    top.expect("the tests belong to a workspace").to_owned()
}
