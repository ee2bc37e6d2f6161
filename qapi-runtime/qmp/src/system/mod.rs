//! What systems have of their own, behind the same names.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod loopback;
#[cfg(all(unix, not(target_os = "linux")))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::loopback::listen_anywhere;
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use self::other::*;
#[cfg(unix)]
pub(crate) use self::unix::*;
#[cfg(windows)]
pub(crate) use self::windows::*;

/// What a connection goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    windows,
    allow(dead_code, reason = "all that is passed on there is TCP")
)]
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
