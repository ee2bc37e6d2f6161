//! `qmp` as scripts and people meet it: from its start to an answer, and from Tab to what it completes.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tests::{PATIENCE, Qmp, Server, Terminal, Tool};

use super::measure::median;
use crate::process::QMP;

/// The most that a run may take beside QEMU's own time, and a completion, in milliseconds.
const MAX_RUN: f64 = 15.0;
const MAX_COMPLETION: f64 = 20.0;

/// The command that is executed.
const COMMAND: &str = "query-status";

/// What is sent where nobody knows QMP, and the lines that come for it: the greeting and two answers.
const SENT: &str = "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-status\"}\n";
const N_LINES: usize = 3;

/// Between two clients of one monitor, which has to see first that the one has gone.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines that are begun, and what is drawn once they are completed.
const BEGUN: [(&str, &str); 4] = [
    ("blockdev-ad", "blockdev-add "),
    ("blockdev-add driver=blkdeb", "driver=blkdebug "),
    ("object-add qom-type=iothread id=a poll-max", "poll-max-ns="),
    (
        "blockdev-add driver=qcow2 file.driver=nbd file.server.ty",
        "file.server.type=",
    ),
];

/// The same for the readline of qmp-shell, which draws what is missing and knows names of commands.
const BEGUN_THERE: (&str, &str) = ("blockdev-ad", "d");

/// Arguments of `bench command`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each is done, in turns.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let qmp = QMP.build_release()?;
    let mut missed = Vec::new();
    let mut n_servers = 0;
    for tool in [Tool::Program("qemu-system-x86_64"), Tool::QemuTen] {
        let Some(qemu) = tool.for_test("runs and completions at QEMU") else {
            continue;
        };
        n_servers += 1;
        let name = qemu.display().to_string();
        let start = || Server::start_qemu(&qemu, &["-machine", "none"]);
        let server = start()?;
        let (beside, listed) = runs(&qmp, server.socket(), args.rounds)?;
        println!(
            "from the start to the answer to {COMMAND} at {name}, medians of {}:",
            args.rounds
        );
        print!("{listed}");
        println!("  qmp beside QEMU's own time: {beside:.2} ms (less than {MAX_RUN} ms)");
        if beside >= MAX_RUN {
            missed.push(format!("a run at {name}"));
        }
        println!("from Tab to what it completes at {name}, medians:");
        let longest = completions(&qmp, server.socket(), start()?.socket(), args.rounds)?;
        println!("  the longest of qmp: {longest:.2} ms (less than {MAX_COMPLETION} ms)");
        if longest >= MAX_COMPLETION {
            missed.push(format!("a completion at {name}"));
        }
    }
    if n_servers == 0 {
        bail!("there is no QEMU here");
    }
    if missed.is_empty() {
        return Ok(());
    }
    bail!("too long: {}", missed.join("; "))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// One way to have an answer.
enum Way {
    /// Over the socket, without a program.
    Own,
    /// `qmp` with this folder for what it keeps.
    Kept(PathBuf),
    /// `qmp` with a new one.
    Cold,
    /// A program that is fed.
    Fed(Command),
    /// A program that needs nothing.
    Alone(Command),
}

/// Runs each way in turns; gives what `qmp` takes beside QEMU's own time, and a table.
fn runs(qmp: &Path, socket: &Path, rounds: usize) -> Result<(f64, String)> {
    let kept = tempfile::tempdir()?;
    let address = socket.to_str().context("the path is not UTF-8")?;
    let mut ways = vec![
        ("QEMU's own time", Way::Own),
        ("qmp, warm cache", Way::Kept(kept.path().to_owned())),
        ("qmp, cold cache", Way::Cold),
    ];
    if let Some(socat) = Tool::Program("socat").for_test("socat beside qmp") {
        let target = format!("UNIX-CONNECT:{address},shut-none");
        let mut fed = Command::new(&socat);
        fed.args(["-", &target]);
        ways.push(("socat", Way::Fed(fed)));
        let mut pipe = Command::new("sh");
        let script = "printf '%s' \"$1\" | \"$0\" -t 10 - \"$2\"";
        pipe.args([OsStr::new("-c"), script.as_ref(), socat.as_os_str()]);
        pipe.args([SENT, &target]);
        ways.push(("socat in a shell's pipe", Way::Alone(pipe)));
    }
    let mut times = vec![Vec::new(); ways.len()];
    // The first round fills the cache, and brings programs into memory.
    for round in 0..=rounds {
        for ((_, way), times) in ways.iter_mut().zip(&mut times) {
            let time = match way {
                Way::Own => own_time(socket)?,
                Way::Kept(folder) => qmp_time(qmp, address, folder)?,
                Way::Cold => qmp_time(qmp, address, tempfile::tempdir()?.path())?,
                Way::Fed(command) => time_to_answer(command, Some(SENT), N_LINES)?,
                Way::Alone(command) => time_to_answer(command, None, N_LINES)?,
            };
            if round > 0 {
                times.push(time);
            }
            std::thread::sleep(PAUSE);
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let mut listed = String::new();
    for ((name, _), time) in ways.iter().zip(&medians) {
        listed.push_str(&format!("  {name:25} {time:6.2} ms\n"));
    }
    Ok((medians[1] - medians[0], listed))
}

/// What QEMU takes for a client, its negotiation and the command.
fn own_time(socket: &Path) -> Result<f64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let start = Instant::now();
        // QEMU may hang up on whoever comes while it parts from the client before.
        let asked = Qmp::open(socket).and_then(|mut qmp| qmp.execute(COMMAND, json!({})));
        match asked {
            Ok(_) => return Ok(milliseconds(start)),
            Err(_) if Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
    }
}

fn qmp_time(qmp: &Path, address: &str, cache: &Path) -> Result<f64> {
    let mut command = Command::new(qmp);
    command.args([address, COMMAND, "--retry", "10"]);
    command.env("XDG_CACHE_HOME", cache);
    time_to_answer(&mut command, None, 1)
}

/// A process group that does not outlive its measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // They may be gone already.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// From the start of a program to the line that has the answer.
fn time_to_answer(command: &mut Command, input: Option<&str>, n_lines: usize) -> Result<f64> {
    command.stdout(Stdio::piped()).process_group(0);
    command.stdin(match input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    });
    let start = Instant::now();
    let mut running = Running(command.spawn()?);
    if let (Some(input), Some(stdin)) = (input, &mut running.0.stdin) {
        stdin.write_all(input.as_bytes())?;
    }
    let stdout = running.0.stdout.take().context("no pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let last = lines.nth(n_lines - 1);
    let time = milliseconds(start);
    let last = last.with_context(|| format!("no answer by {command:?}"))??;
    if !last.contains("running") {
        bail!("not the answer by {command:?}: {last}");
    }
    Ok(time)
}

/// Begins lines in turns in the shell of `qmp` and in qmp-shell, and has them completed; gives the longest time of `qmp`.
fn completions(qmp: &Path, socket: &Path, other: &Path, rounds: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(qmp);
    command.arg(socket).args(["--retry", "10"]);
    command.env("XDG_CACHE_HOME", folder.path());
    command.env("XDG_STATE_HOME", folder.path());
    let mut ours = Prompt::start(&mut command, "qmp> ")?;
    let mut theirs = match Tool::QemuQmp.for_test("completion by qmp-shell") {
        None => None,
        Some(python) => {
            let mut shell = Command::new(python.with_file_name("qmp-shell"));
            shell.arg(other).env("HOME", folder.path());
            Some(Prompt::start(&mut shell, "(QEMU) ")?)
        }
    };
    let mut echo = Vec::new();
    let mut times = vec![Vec::new(); BEGUN.len()];
    let mut their_times = Vec::new();
    // In the first round the schema is read.
    for round in 0..=rounds {
        let is_counted = round > 0;
        // What a key takes that completes nothing.
        echo.extend(is_counted.then_some(ours.press("x", "y", "y")?));
        for ((begun, completed), times) in BEGUN.iter().zip(&mut times) {
            let time = ours.press(begun, "\t", completed)?;
            times.extend(is_counted.then_some(time));
        }
        if let Some(theirs) = &mut theirs {
            let (begun, completed) = BEGUN_THERE;
            let time = theirs.press(begun, "\t", completed)?;
            their_times.extend(is_counted.then_some(time));
        }
    }
    let mut longest: f64 = 0.0;
    println!("  {:6.2} ms a key that completes nothing", median(echo));
    for ((begun, _), times) in BEGUN.iter().zip(times) {
        let time = median(times);
        println!("  {time:6.2} ms qmp: {begun}");
        longest = longest.max(time);
    }
    if theirs.is_some() {
        let time = median(their_times);
        println!("  {time:6.2} ms qmp-shell: {}", BEGUN_THERE.0);
    }
    Ok(longest)
}

/// A shell on a terminal of its own.
struct Prompt(Terminal);

impl Prompt {
    fn start(command: &mut Command, prompt: &str) -> Result<Self> {
        let terminal = Terminal::start(command)?;
        terminal.until(prompt, 0);
        Ok(Self(terminal))
    }

    /// Begins a line, presses a key, and waits for what is drawn then.
    fn press(&mut self, begun: &str, key: &str, drawn: &str) -> Result<f64> {
        /// Ctrl-U: empties the line.
        const AFRESH: &str = "\u{15}";
        let before = self.0.n_drawn();
        self.0.press(&format!("{AFRESH}{begun}"))?;
        let before = self.0.until(begun, before);
        let start = Instant::now();
        self.0.press(key)?;
        self.0.until(drawn, before);
        Ok(milliseconds(start))
    }
}
