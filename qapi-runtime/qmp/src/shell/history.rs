//! Lines that are kept from run to run.

use std::fs;
use std::path::PathBuf;

use crate::system::state_folder;

/// How many.
pub(super) const MAX_LINES: usize = 1_000;

/// The file: `$XDG_STATE_HOME/qmp/history`, or `~/.local/state/qmp/history`; `None` where there is no folder for it.
pub(super) fn file() -> Option<PathBuf> {
    let folder = state_folder()?.join("qmp");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Whether a line may be kept: nothing that looks like a password is.
pub(super) fn may_be_kept(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    !["password", "passphrase", "secret"]
        .iter()
        .any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::may_be_kept;

    #[test]
    fn what_looks_like_a_password_is_not_kept() {
        assert!(may_be_kept("query-status"));
        assert!(!may_be_kept("set_password protocol=vnc password=x"));
        assert!(!may_be_kept("object-add qom-type=secret id=s data=x"));
    }
}
