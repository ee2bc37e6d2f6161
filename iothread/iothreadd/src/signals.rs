//! UNIX signals: those that end the server, and one that must not.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use iothread::{ContextError, FdWatch, MainContext, OnMain};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{pipe, unregister};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That the server ends.
    Once,
    /// The same, and without patience if it is ending already.
    AgainIfRepeated,
}

/// Lets the signals that ask a program to end do so. They are heard as long as the watches live.
///
/// The first one, whichever it is, ends the server in an orderly way. A second `SIGTERM` or `SIGINT` waits neither for
/// clients nor for disks any more. A second one that is `SIGHUP` changes nothing, since service managers send it along.
///
/// # Errors
///
/// [`ContextError::Watch`] with EMFILE or ENFILE: each signal takes two file descriptors.
pub(crate) fn watch(
    main: &MainContext,
    asked: impl Fn(OnMain<'_>, Asked) + Clone + Send + 'static,
) -> Result<Vec<SignalWatch>, ContextError> {
    let signals = [
        (SIGTERM, Asked::AgainIfRepeated),
        (SIGINT, Asked::AgainIfRepeated),
        (SIGHUP, Asked::Once),
    ];
    let watch = |(signal, what)| {
        let asked = asked.clone();
        SignalWatch::new(main, signal, move |main| asked(main, what))
    };
    signals.into_iter().map(watch).collect()
}

/// Has a signal heard, as long as the value is there. The signal's default action does not come back with its end: a signal that nobody
/// hears any more is ignored.
pub(crate) struct SignalWatch {
    id: SigId,
    _watch: FdWatch,
}

impl SignalWatch {
    /// Calls `heard` on the main loop for each signal; those that come before it is called count once.
    fn new(
        main: &MainContext,
        signal: i32,
        heard: impl Fn(OnMain<'_>) + Send + 'static,
    ) -> Result<Self, ContextError> {
        let (near, id) = bytes_of(signal).map_err(ContextError::Watch)?;
        let watched = main
            .watch(near)
            .on_readable(move |near, dispatch| {
                drain(near);
                if let Some(main) = dispatch.on_main() {
                    heard(main);
                }
            })
            .register();
        match watched {
            Ok(_watch) => Ok(Self { id, _watch }),
            Err(error) => {
                unregister(id);
                Err(error)
            }
        }
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

/// A socket that receives a byte with each signal.
fn bytes_of(signal: i32) -> io::Result<(UnixStream, SigId)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let id = pipe::register(signal, far)?;
    Ok((near, id))
}

/// Reads what has come; an error means that nothing is left.
fn drain(mut near: &UnixStream) {
    let mut bytes = [0; 64];
    while matches!(near.read(&mut bytes), Ok(n) if n == bytes.len()) {}
}

/// A write beyond the limit of a file's size fails with EFBIG instead of killing the process, as it does in QEMU.
///
/// # Errors
///
/// EINVAL, on a host without that signal.
pub(crate) fn survive_full_files() -> io::Result<()> {
    // With any handler in place the write fails; whether it ran does not matter. It stays for the life of the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}
