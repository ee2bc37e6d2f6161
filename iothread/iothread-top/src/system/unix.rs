//! What all systems have that are like Unix.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::process::ChildStdout;

/// Whether somebody may listen at a path.
pub(crate) fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| it.file_type().is_socket())
}

/// The end of a pipe at which a process is heard.
pub(crate) fn child_output(output: PipeReader) -> io::Result<ChildStdout> {
    ChildStdout::from_std(OwnedFd::from(output).into())
}

/// Each guest takes a descriptor, of which shells leave a thousand. As many are allowed as the system does.
pub(crate) fn make_room() {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    // Where that is not allowed, looks fail that there is no room for, and say so.
    let _ = limits.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
}
