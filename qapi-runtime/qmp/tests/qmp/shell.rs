//! The shell, on a terminal.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tests::{Suite, Terminal};

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 8] = [
        ("tab-completes-at-three-depths", tab_completes),
        (
            "a-mistake-does-not-end-the-shell",
            a_mistake_does_not_end_it,
        ),
        (
            "an-event-leaves-the-line-alone",
            an_event_leaves_the_line_alone,
        ),
        (
            "an-interrupted-command-is-answered-late",
            an_interrupted_command,
        ),
        ("lines-that-are-typed-ahead-are-executed", lines_typed_ahead),
        ("a-server-that-dies-is-connected-again", a_server_that_dies),
        ("lines-are-kept-unless-they-are-secret", lines_are_kept),
        ("without-a-terminal-it-is-a-script", without_a_terminal),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

/// A shell at its first prompt.
fn shell(place: &Place, options: &[&str]) -> (Terminal, usize) {
    let terminal = Terminal::start(&mut place.program(options)).unwrap();
    let drawn = terminal.until("qmp> ", 0);
    (terminal, drawn)
}

/// Types a line, and waits for a text among what is drawn then.
fn say(terminal: &mut Terminal, line: &str, expected: &str) {
    let drawn = terminal.drawn_after(0).len();
    terminal.press(&format!("{line}\r")).unwrap();
    terminal.until(expected, drawn);
}

fn leave(mut terminal: Terminal) {
    terminal.press(".exit\r").unwrap();
    assert!(terminal.wait().unwrap().success());
}

fn tab_completes() {
    let server = start();
    let place = Place::at(&server);
    let (mut terminal, drawn) = shell(&place, &[]);
    terminal.press("blockdev-a\t").unwrap();
    let drawn = terminal.until("blockdev-add ", drawn);
    terminal.press("driver=ra\t").unwrap();
    let drawn = terminal.until("driver=raw ", drawn);
    terminal.press("node-name=r file.dri\t").unwrap();
    let drawn = terminal.until("file.driver=", drawn);
    terminal.press("null-c\t").unwrap();
    let drawn = terminal.until("file.driver=null-co ", drawn);
    // A member that the value of another one brings.
    terminal.press("file.read-z\t").unwrap();
    terminal.until("file.read-zeroes=", drawn);
    say(&mut terminal, "on", "qmp> ");
    say(&mut terminal, "query-named-block-nodes", "node-name: r");
    say(
        &mut terminal,
        ".help blockdev-add driver=raw",
        "*offset: int",
    );
    say(
        &mut terminal,
        ".help blockdev-add driver=raw file.driver=file file",
        "filename: str",
    );
    leave(terminal);
}

fn a_mistake_does_not_end_it() {
    let server = start();
    let place = Place::at(&server);
    let (mut terminal, _) = shell(&place, &[]);
    say(
        &mut terminal,
        "query-status x=1",
        "Parameter 'x' is unexpected",
    );
    say(
        &mut terminal,
        "object-del id=nobody",
        "object 'nobody' not found",
    );
    say(
        &mut terminal,
        ".nothing",
        "'.nothing' is not a word of this program",
    );
    say(
        &mut terminal,
        "{\"execute\": \"query-iothreads\"}",
        "id: io0",
    );
    say(&mut terminal, ".oob query-status", "does not support OOB");
    // A bracket that is open makes the line go on.
    terminal
        .press("object-add {\"qom-type\": \"iothread\",\r")
        .unwrap();
    say(&mut terminal, "\"id\": \"io7\"}", "qmp> ");
    say(&mut terminal, ".hmp info iothreads", "io7:");
    leave(terminal);
}

fn an_event_leaves_the_line_alone() {
    let server = start();
    let place = Place::at(&server);
    place.text_of(&["device_add", "driver=virtio-balloon-pci", "id=b"]);
    let (mut terminal, drawn) = shell(&place, &[]);
    terminal.press("query-sta").unwrap();
    let drawn = terminal.until("query-sta", drawn);
    place.text_of(&["device_del", "id=b"]);
    terminal.until("event DEVICE_DELETED: {\"device\": \"b\"", drawn);
    say(&mut terminal, "tus", "running: true");
    leave(terminal);
}

fn an_interrupted_command() {
    let server = start();
    let place = Place::at(&server);
    let (mut terminal, _) = shell(&place, &[]);
    say(&mut terminal, "query-status", "running: true");
    server.signal(Signal::STOP).unwrap();
    // The editor has left the terminal to the command.
    say(&mut terminal, "query-iothreads", "\u{1b}[?2004l");
    let id = Pid::from_raw(terminal.process_id().cast_signed()).unwrap();
    // The wait may not have begun yet: who is interrupted while nobody waits goes on.
    let drawn = terminal.drawn_after(0).len();
    tests::eventually(|| {
        kill_process(id, Signal::INT).unwrap();
        terminal
            .drawn_after(drawn)
            .contains("its answer is shown when it comes")
    });
    let drawn = terminal.until("qmp> ", drawn);
    server.signal(Signal::CONT).unwrap();
    terminal.until("late answer to query-iothreads", drawn);
    terminal.until("id: io1", drawn);
    say(&mut terminal, "query-status", "running: true");
    leave(terminal);
}

/// Several lines at once, which the editor reads before it has executed the first.
fn lines_typed_ahead() {
    let server = start();
    let place = Place::at(&server);
    let (mut terminal, drawn) = shell(&place, &[]);
    let lines = "query-status\rquery-iothreads\robject-del id=nobody\r.exit\r";
    terminal.press(lines).unwrap();
    for expected in ["running: true", "id: io1", "object 'nobody' not found"] {
        terminal.until(expected, drawn);
    }
    assert!(terminal.wait().unwrap().success());
}

fn a_server_that_dies() {
    // The next server has a socket of its own behind the same name.
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("socket");
    let start_named = || {
        let server = start();
        // There is none at first.
        let _ = fs::remove_file(&name);
        std::os::unix::fs::symlink(server.socket(), &name).unwrap();
        server
    };
    let mut server = start_named();
    let place = Place::new(format!("unix:{}", name.display()));
    let (mut terminal, drawn) = shell(&place, &[]);
    server.kill();
    terminal.until(".connect connects again", drawn);
    say(&mut terminal, "query-status", "closed the connection");
    let _server = start_named();
    say(&mut terminal, ".connect", "qmp> ");
    say(&mut terminal, "query-status", "running: true");
    leave(terminal);
}

fn lines_are_kept() {
    let server = start();
    let place = Place::at(&server);
    let (mut terminal, _) = shell(&place, &[]);
    say(&mut terminal, "query-status", "running: true");
    say(&mut terminal, " query-iothreads", "id: io1");
    say(&mut terminal, "qom-get path=/ property=password", "qmp> ");
    leave(terminal);
    let history = fs::read_to_string(place.folder.path().join("qmp/history")).unwrap();
    assert!(history.contains("query-status"), "{history}");
    assert!(
        !history.contains("query-iothreads") && !history.contains("password"),
        "{history}"
    );
    // The next shell has them.
    let (mut terminal, drawn) = shell(&place, &[]);
    terminal.press("\u{1b}[A\u{1b}[A").unwrap();
    terminal.until("query-status", drawn);
    terminal.press("\u{15}").unwrap();
    leave(terminal);
}

fn without_a_terminal() {
    let server = start();
    let place = Place::at(&server);
    let mut program = place.program(&[]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = program.spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let lines = "# As the shell takes them.\nquery-name {}\n.hmp info iothreads\n";
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("{") && text.contains("io1:"), "{text}");
    fs::write(place.folder.path().join("script"), "query-name\n.exit\n").unwrap();
    let script = place.folder.path().join("script");
    let failure = place.failure_of(2, &["-f", script.to_str().unwrap()]);
    assert!(
        failure.contains(":2: .help, .connect and .exit are words of the shell"),
        "{failure}"
    );
}
