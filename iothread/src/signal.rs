//! UNIX signals as callbacks of a main loop.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts;
use signal_hook::low_level::{pipe, unregister};

use crate::context::{ContextError, Dispatch, FdWatch};
use crate::main_loop::MainContext;

/// A signal that a program may want to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGHUP`.
    Hangup,
    /// `SIGINT`.
    Interrupt,
    /// `SIGQUIT`.
    Quit,
    /// `SIGTERM`.
    Terminate,
    /// `SIGUSR1`.
    User1,
    /// `SIGUSR2`.
    User2,
    /// `SIGCHLD`.
    Child,
}

impl Signal {
    fn number(self) -> i32 {
        match self {
            Self::Hangup => consts::SIGHUP,
            Self::Interrupt => consts::SIGINT,
            Self::Quit => consts::SIGQUIT,
            Self::Terminate => consts::SIGTERM,
            Self::User1 => consts::SIGUSR1,
            Self::User2 => consts::SIGUSR2,
            Self::Child => consts::SIGCHLD,
        }
    }
}

/// A callback for a signal; dropping the value removes it.
///
/// The signal's default action does not come back with that: a signal that nobody watches any more is ignored.
#[derive(Debug)]
#[must_use = "dropping the value removes the callback"]
pub struct SignalWatch {
    id: SigId,
    _watch: FdWatch,
}

impl MainContext {
    /// Runs a callback on the main loop when the process receives `signal`. Signals that come before the callback has run count once.
    ///
    /// # Errors
    ///
    /// [`ContextError::Watch`] with EMFILE or ENFILE, if there are no two file descriptors left, and [`ContextError::Ended`]
    /// once the loop is gone.
    pub fn on_signal(
        &self,
        signal: Signal,
        mut callback: impl FnMut(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<SignalWatch, ContextError> {
        let (near, id) = pipe_of(signal).map_err(ContextError::Watch)?;
        let watched = self
            .watch(near)
            .on_readable(move |near, dispatch| {
                drain(near);
                callback(dispatch);
            })
            .register();
        match watched {
            Ok(_watch) => Ok(SignalWatch { id, _watch }),
            Err(error) => {
                unregister(id);
                Err(error)
            }
        }
    }
}

/// A socket that receives a byte with each signal.
fn pipe_of(signal: Signal) -> io::Result<(UnixStream, SigId)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let id = pipe::register(signal.number(), far)?;
    Ok((near, id))
}

/// Reads what has come; an error means that nothing is left.
fn drain(mut near: &UnixStream) {
    let mut bytes = [0; 64];
    while matches!(near.read(&mut bytes), Ok(n) if n == bytes.len()) {}
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        unregister(self.id);
    }
}
