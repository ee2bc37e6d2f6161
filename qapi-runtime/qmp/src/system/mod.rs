//! What systems have of their own, behind the same names.

mod linux;
mod unix;

pub(crate) use self::linux::*;
pub(crate) use self::unix::*;

/// What a connection goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    Tcp,
    /// A unix socket, over which descriptors travel, too.
    Unix,
    OtherSocket,
    /// A pipe or a terminal.
    NoSocket,
}

impl Medium {
    pub(crate) fn is_socket(self) -> bool {
        self != Self::NoSocket
    }
}
