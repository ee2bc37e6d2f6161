//! Whether `qmp` and `iothread-top` do on another system with a server what they do here.
//!
//! The server is one QEMU on TCP. Equal have to be standard output, standard error and the status, but for the time at which
//! something happened, and for the system's own words for its errors.

use std::io::{Seek as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tests::reference::first_difference;
use tests::{PATIENCE, comes_true};

/// Command lines of `qmp`: each stands for another part of it.
const OF_QMP: [&[&str]; 15] = [
    &["query-status"],
    &["query-version", "--human"],
    &["query-qmp-schema"],
    &["query-iothreads", "--json"],
    &["object-add", "qom-type=iothread", "id=new"],
    &["qom-get", "path=/objects/new", "property=poll-max-ns"],
    &["object-del", "id=new"],
    &["stop", "--wait-event", "STOP"],
    &["cont", "--wait-event", "RESUME"],
    &["yank", "instances:=[]", "--oob"],
    &["--hmp", "info version"],
    // Refused by the server, by its schema, and by nobody but never done.
    &["device_del", "id=nobody"],
    &["no-such-command"],
    &["qom-get", "path=1"],
    &["query-name", "--wait-event", "NEVER", "--timeout", "1"],
];

/// Scripts, which are given to `qmp` as standard input. One has the ends of lines of Windows.
const SCRIPTS: [&str; 3] = [
    "query-name\n# Nothing.\n.oob yank instances:=[]\n.hmp info status\n",
    "query-name\r\nobject-add qom-type=iothread id='a b'\r\nquery-status\r\n",
    "query-name\nquery-status \"\nquery-name\n",
];

/// Columns of all that a server, the kernel, and nobody here tells, but those of times.
const FIELDS: &str = "guest,target,state,iothread,standing,tid,cpu,user,system,delay,voluntary,forced,time,on,affinity,poll-max,\
                      held,from,holders,disks,server,process";

/// Command lines of `iothread-top`.
const OF_TOP: [&[&str]; 4] = [
    &["--once", "--interval", "0.1"],
    &["--once", "--fields", FIELDS, "--interval", "0.1"],
    &["doctor"],
    &["explain", "IO01"],
];

/// A program on both systems.
pub(super) struct Pair<'a> {
    pub(super) here: PathBuf,
    /// Starts it there.
    pub(super) there: Box<dyn Fn() -> Command + 'a>,
}

/// Compares both programs with this QEMU. Says how many outcomes were compared.
pub(super) fn compare(qemu: &Path, qmp: &Pair<'_>, top: &Pair<'_>) -> Result<usize> {
    let mut server = Server::start(qemu)?;
    let address = format!("tcp:{}", server.place);
    let mut runs = Vec::new();
    let patient = ["--retry", "30"];
    for words in OF_QMP {
        runs.push(Run::new(qmp, &[&[&*address], words, &patient].concat(), ""));
    }
    for script in SCRIPTS {
        runs.push(Run::new(
            qmp,
            &[&[&*address], &patient[..]].concat(),
            script,
        ));
    }
    for words in OF_TOP {
        let at: &[&str] = match words {
            ["explain", ..] => &[],
            _ => &[&address, "--deadline", "30"],
        };
        runs.push(Run::new(top, &[words, at].concat(), ""));
    }
    // Nobody serves.
    let nowhere = format!("tcp:{}", free_place()?);
    runs.push(Run::new(qmp, &[&nowhere, "query-name"], ""));
    let columns = ["--fields", "guest,state,holders"];
    runs.push(Run::new(
        top,
        &[&[&*nowhere, "--once"], &columns[..]].concat(),
        "",
    ));
    let n_runs = compare_all(&runs)?;
    // It serves another client.
    let other = TcpStream::connect(&server.place)?;
    let hasty = [&*address, "query-name", "--connect-timeout", "1"];
    let n_runs = n_runs + compare_all(&[Run::new(qmp, &hasty, "")])?;
    drop(other);

    pass_on(&address, qmp)?;
    let quit = Run::new(qmp, &[&*address, "quit", "--retry", "30"], "").there()?;
    ensure!(quit.status == Some(0), "quit: {}", quit.stderr);
    let status = server.process.0.wait()?;
    ensure!(status.success(), "QEMU: {status}");
    Ok(n_runs)
}

/// Runs all here and then all there, since a server may be another one after each.
fn compare_all(runs: &[Run<'_>]) -> Result<usize> {
    let expected = runs.iter().map(Run::here).collect::<Result<Vec<_>>>()?;
    for (run, expected) in runs.iter().zip(expected) {
        let difference = expected.differs_from(&run.there()?);
        let words = run.words.join(" ");
        ensure!(
            difference.is_none(),
            "{words}: {}",
            difference.unwrap_or_default()
        );
    }
    Ok(runs.len())
}

/// There, `qmp` records what a client here says to QEMU, and then is QEMU for it.
fn pass_on(address: &str, qmp: &Pair<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let ask = |place: &str| {
        let place = format!("tcp:{place}");
        Run::new(
            qmp,
            &[&place, "query-name", "--no-check", "--retry", "30"],
            "",
        )
        .here()
    };
    let expected = ask(address.trim_start_matches("tcp:"))?;
    let place = free_place()?;
    let mut recorder = (qmp.there)();
    recorder.args(["record", address, "--listen", &format!("tcp:{place}")]);
    let recorder = Process(recorder.arg("--log").arg(&log).spawn()?);
    let recorded = ask(&place)?;
    // The last line is there as soon as the server has noticed.
    let is_complete = || std::fs::read_to_string(&log).is_ok_and(|it| it.contains("\"closed\""));
    ensure!(comes_true(PATIENCE, is_complete), "the log has no end");
    drop(recorder);
    let place = free_place()?;
    let mut player = (qmp.there)();
    player.arg("replay").arg(&log);
    player.args(["--listen", &format!("tcp:{place}")]);
    let mut player = Process(player.spawn()?);
    let played = ask(&place)?;
    let status = player.0.wait()?;
    ensure!(status.success(), "what is played again: {status}");
    for (what, found) in [("recorded", recorded), ("played again", played)] {
        let difference = expected.differs_from(&found);
        ensure!(difference.is_none(), "{what}: {difference:?}");
    }
    Ok(())
}

/// A command line of a program.
struct Run<'a> {
    program: &'a Pair<'a>,
    words: Vec<String>,
    input: &'static str,
}

impl<'a> Run<'a> {
    fn new(program: &'a Pair<'a>, words: &[&str], input: &'static str) -> Self {
        Self {
            program,
            words: words.iter().map(|it| (*it).to_owned()).collect(),
            input,
        }
    }

    fn here(&self) -> Result<Outcome> {
        Outcome::of(
            Command::new(&self.program.here).args(&self.words),
            self.input,
        )
    }

    fn there(&self) -> Result<Outcome> {
        Outcome::of((self.program.there)().args(&self.words), self.input)
    }
}

struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn of(program: &mut Command, input: &str) -> Result<Self> {
        let mut file = tempfile::tempfile()?;
        file.write_all(input.as_bytes())?;
        file.rewind()?;
        let output = program
            .stdin(file)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .output();
        let output = output.context("it does not start")?;
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(comparable).collect::<Vec<_>>().join("\n")
        };
        Ok(Self {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    fn differs_from(&self, found: &Self) -> Option<String> {
        for (what, expected, found) in [
            ("standard error", &self.stderr, &found.stderr),
            ("standard output", &self.stdout, &found.stdout),
        ] {
            if expected != found {
                return Some(format!("{what}: {}", first_difference(expected, found)));
            }
        }
        let (here, there) = (self.status, found.status);
        (here != there).then(|| format!("the status is {there:?}, not {here:?}"))
    }
}

/// A line without when an event was, and without the words of a system.
fn comparable(line: &str) -> &str {
    if line.starts_with("{\"timestamp\": ") {
        return line.split_once('}').map_or(line, |(_, rest)| rest);
    }
    match line.split_once(" (os error ") {
        Some((told, _)) => told.rsplit_once(": ").map_or(told, |(ours, _)| ours),
        None => line,
    }
}

/// A QEMU with two IOThreads.
struct Server {
    process: Process,
    place: String,
}

impl Server {
    fn start(qemu: &Path) -> Result<Self> {
        let place = free_place()?;
        let mut command = Command::new(qemu);
        command.args(["-machine", "none", "-nodefaults", "-display", "none"]);
        for id in ["first", "second"] {
            command.args(["-object", &format!("iothread,id={id}")]);
        }
        command.args(["-qmp", &format!("tcp:{place},server=on,wait=off")]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().context("QEMU does not start")?;
        Ok(Self {
            process: Process(process),
            place,
        })
    }
}

/// Ends by force where it does not end by itself.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_place() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
