//! The screen, on a terminal.

use libtest_mimic::Failed;
use tests::{Suite, Terminal};

use super::guests::start_at;
use super::lifeline::{ODD, start_odd};
use super::program;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always(
            "a-server-that-comes-back-is-live-again",
            a_server_that_comes_back_is_live_again,
        )
        .always("names-do-not-steer-a-screen", names_do_not_steer_a_screen)
}

fn start(address: &str) -> anyhow::Result<Terminal> {
    Terminal::start(&mut program(&["-d", "0.1", address]))
}

/// It is one row while it is away.
fn a_server_that_comes_back_is_live_again() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("qmp");
    let serve = || start_at(&[&socket], &["--object", "iothread,id=io0"]);
    let server = serve()?;
    let mut screen = start(&format!("unix:{}", socket.display()))?;
    let n_drawn = screen.until("io0", 0);
    drop(server);
    let n_drawn = screen.until("gone", n_drawn);
    let _server = serve()?;
    screen.until("io0", n_drawn);
    screen.press("q")?;
    assert!(screen.wait()?.success());
    Ok(())
}

fn names_do_not_steer_a_screen() -> Result<(), Failed> {
    let peer = start_odd();
    let mut screen = start(&peer.socket())?;
    screen.until("<U+001B>]0;", 0);
    // What is drawn has escape sequences of its own; that of the name is not among them.
    assert!(!screen.drawn_after(0).contains(&ODD[..4]));
    screen.press("q")?;
    assert!(screen.wait()?.success());
    Ok(())
}
