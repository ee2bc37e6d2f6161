//! Windows.

use std::io::{self, PipeReader};
use std::os::windows::io::OwnedHandle;
use std::path::Path;

use tokio::process::ChildStdout;

/// Whether somebody may listen at a path: servers listen elsewhere here.
pub(crate) fn is_socket(_path: &Path) -> bool {
    false
}

/// The end of a pipe at which a process is heard.
pub(crate) fn child_output(output: PipeReader) -> io::Result<ChildStdout> {
    ChildStdout::from_std(OwnedHandle::from(output).into())
}

/// There is room for as many guests as anybody has.
pub(crate) fn make_room() {}
