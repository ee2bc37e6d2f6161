//! UNIX signals: those that end the server, and one that must not.

use std::io;
use std::sync::Arc;

use iothread::{ContextError, MainContext, Signal, SignalWatch};
use signal_hook::consts::SIGXFSZ;

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
    asked: impl Fn(Asked) + Clone + Send + 'static,
) -> Result<Vec<SignalWatch>, ContextError> {
    let signals = [
        (Signal::Terminate, Asked::AgainIfRepeated),
        (Signal::Interrupt, Asked::AgainIfRepeated),
        (Signal::Hangup, Asked::Once),
    ];
    let watch = |(signal, what)| {
        let asked = asked.clone();
        main.on_signal(signal, move |_| asked(what))
    };
    signals.into_iter().map(watch).collect()
}

/// A write beyond the limit of a file's size fails with EFBIG instead of killing the process, as it does in QEMU.
///
/// # Errors
///
/// EINVAL, on a host without that signal.
pub(crate) fn survive_full_files() -> io::Result<()> {
    // With any handler in place the write fails; nobody asks whether it ran. It stays for the life of the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}
