//! What is said of unix sockets, which do not exist here.

use std::io;
use std::path::Path;

use super::super::{NO_ABSTRACT_NAMES, unsupported};
use super::{Descriptor, NO_UNIX_SOCKETS};

/// The file of no socket.
pub(crate) enum SocketFile {}

pub(crate) fn listen_path(
    _path: &Path,
    _mode: Option<u32>,
) -> io::Result<(Descriptor, SocketFile)> {
    Err(unsupported(NO_UNIX_SOCKETS))
}

pub(crate) fn listen_abstract(_name: &[u8]) -> io::Result<Descriptor> {
    Err(unsupported(NO_ABSTRACT_NAMES))
}
