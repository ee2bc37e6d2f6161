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
        .always("colours-may-be-off", colours_may_be_off)
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

/// Whether an escape sequence among the text sets a colour.
fn has_colours(drawn: &str) -> bool {
    let is_colour = |number: u32| matches!(number, 30..=38 | 40..=48 | 90..=107);
    drawn.split("\u{1b}[").skip(1).any(|it| {
        let end = it.find(|ch: char| ch.is_ascii_alphabetic());
        let set = end.and_then(|end| it[..=end].strip_suffix('m'));
        let first = set.and_then(|numbers| numbers.split(';').next());
        first.and_then(|it| it.parse().ok()).is_some_and(is_colour)
    })
}

fn colours_may_be_off() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let nobody = folder.path().join("none");
    let nobody = nobody.to_str().unwrap();
    for (value, expected) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let mut command = program(&["-d", "0.1", nobody]);
        match value {
            Some(value) => command.env("NO_COLOR", value),
            None => command.env_remove("NO_COLOR"),
        };
        let mut screen = Terminal::start(&mut command)?;
        screen.until("gone", 0);
        assert_eq!(has_colours(&screen.drawn_after(0)), expected, "{value:?}");
        screen.press("q")?;
        assert!(screen.wait()?.success());
    }
    Ok(())
}
