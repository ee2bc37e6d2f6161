//! Eventfds, and descriptors of values that do not lend theirs.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::aio_context::AioContext;
use super::failure::ContextError;
use super::fd::FdWatch;
use super::handler::FdDispatch;

impl AioContext {
    /// Watches an eventfd: `callback` is given what has been counted since it was last called, which the read has taken.
    ///
    /// The eventfd should be non-blocking if others read it, too. What turns out to be no eventfd is not watched any more.
    ///
    /// The `EventFd` of rust-vmm's `vmm-sys-util` does not lend its descriptor ([`AsFd`]); [`duplicate`] makes one that does.
    ///
    /// # Errors
    ///
    /// As for [`add_fd`](Self::add_fd).
    pub fn watch_eventfd(
        &self,
        source: impl AsFd + Send + Sync + 'static,
        mut callback: impl FnMut(u64, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Result<FdWatch, ContextError> {
        self.watch(source)
            .on_readable(move |source, dispatch| {
                let mut count = [0; 8];
                match rustix::io::read(source, &mut count) {
                    Ok(8) => callback(u64::from_ne_bytes(count), dispatch),
                    // Somebody else has taken it.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Ok(_) | Err(_) => dispatch.remove(),
                }
            })
            .register()
    }
}

/// A descriptor of one's own for the open file of `source`, whatever it is: it is closed with the returned value, and `source` keeps
/// its own. For types that give out the number of their descriptor and no more, such as the `EventFd` of `vmm-sys-util`.
///
/// The descriptor is closed on `exec`. How it is made, and what to do where that is refused, is said in
/// [the guide](crate#what-runs-where-and-in-which-order).
///
/// # Errors
///
/// EBADF if `source` has no open file; EMFILE or ENFILE without descriptors left. `Unsupported` before Linux 5.6, and `Unsupported`
/// or `PermissionDenied` where a sandbox refuses it: that error names the call.
pub fn duplicate(source: &impl AsRawFd) -> io::Result<OwnedFd> {
    let number = source.as_raw_fd();
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    let process =
        pidfd_open(getpid(), PidfdFlags::empty()).map_err(|it| named("pidfd_open", it))?;
    let duplicate = pidfd_getfd(process, number, PidfdGetfdFlags::empty());
    duplicate.map_err(|it| named("pidfd_getfd", it))
}

/// An error that says which call is refused, if it is: the system's error is then about nothing else.
fn named(call: &str, error: Errno) -> io::Error {
    let told = io::Error::from(error);
    match error {
        Errno::NOSYS | Errno::PERM => io::Error::new(told.kind(), format!("{call}: {told}")),
        _ => told,
    }
}
