//! What comes from a console: Ctrl+C, Ctrl+Break, a window that is closed, a user who logs off, and the end of all.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::thread;

use qapi_gen::internals;
use tokio::runtime::Builder;
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

/// The status of a process that Ctrl+C ends.
const CONTROL_C_EXIT: u32 = 0xC000_013A;

/// From here on what asks the process to end removes unfinished files first. A process that was started so that Ctrl+C is not
/// for it does not get one.
pub(crate) fn tidy_up() -> io::Result<()> {
    let (mut c, mut pause) = (ctrl_c()?, ctrl_break()?);
    let (mut close, mut logoff, mut shutdown) = (ctrl_close()?, ctrl_logoff()?, ctrl_shutdown()?);
    let asked = poll_fn(move |context| {
        let is_asked = [
            c.poll_recv(context),
            pause.poll_recv(context),
            close.poll_recv(context),
            logoff.poll_recv(context),
            shutdown.poll_recv(context),
        ];
        match is_asked.iter().any(Poll::is_ready) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    });
    let runtime = Builder::new_current_thread().build()?;
    let wait = move || {
        runtime.block_on(asked);
        internals::abandon();
        std::process::exit(CONTROL_C_EXIT.cast_signed());
    };
    let thread = thread::Builder::new().name("console".to_owned());
    thread.spawn(wait)?;
    Ok(())
}

/// Does nothing: there is no limit on the size of files.
pub(crate) fn survive_full_files() -> io::Result<()> {
    Ok(())
}
