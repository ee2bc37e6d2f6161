//! Where monitors are served, as options say it.

use std::os::fd::RawFd;
use std::path::PathBuf;

/// Where a monitor is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix {
        path: PathBuf,
        mode: Option<u32>,
    },
    /// A unix socket without a place in the file system.
    Abstract(String),
    Tcp {
        host: String,
        port: u16,
    },
    /// A socket that the process was started with, by its number: one that listens, or one that is connected.
    Inherited(RawFd),
    Stdio,
}
