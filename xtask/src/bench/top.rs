//! `cargo xtask bench top`: what it costs to watch many guests.
//!
//! Guests are servers that do nothing: `iothreadd`, and QEMU where it is here. There is no baseline: nobody else shows this. A
//! figure is the processor time of the program itself, as the kernel counts it, as a part of one processor.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use tests::{PATIENCE, Qmp, Tool, eventually};

use crate::process::{IOTHREAD_TOP, IOTHREADD};

/// The most that it may cost, as a part of one processor.
const LIMIT: f64 = 0.05;

/// IOThreads of a guest.
const THREADS: usize = 4;

/// How long a program runs before it is measured: it has looked at all guests by then.
const WARM_UP: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many guests are watched.
    #[arg(long, default_value_t = 50)]
    guests: usize,
    /// How long each figure is measured.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let top = IOTHREAD_TOP.build_release()?;
    let iothreadd = IOTHREADD.build_release()?;
    let qemu = Tool::Program("qemu-system-x86_64").for_test("guests of QEMU");
    let mut too_much = Vec::new();
    println!(
        "processor time of watching {} guests with {THREADS} IOThreads each, once a second",
        args.guests
    );
    let kinds = [("iothreadd", Some(iothreadd)), ("QEMU", qemu.clone())];
    for (kind, program) in kinds.into_iter().filter_map(|(kind, it)| Some((kind, it?))) {
        let guests = Guests::start(kind, &program, args.guests)?;
        for watcher in [Watcher::Table, Watcher::Screen, Watcher::Exporter] {
            let used = watcher.measure(&top, &guests, Duration::from_secs(args.seconds))?;
            let name = watcher.name();
            println!("{kind:10} {name:30} {:5.2} %", used * 100.0);
            if used >= LIMIT {
                too_much.push(format!("{name} of {kind}"));
            }
        }
    }
    let newest = Tool::QemuTen.for_test("turns at QEMU 10");
    for qemu in [qemu, newest].into_iter().flatten() {
        let longest = longest_turn(&top, &qemu)?;
        println!(
            "{TURNS} turns of another client at {}, watched by both: the longest took {:.0} ms",
            qemu.display(),
            longest.as_secs_f64() * 1e3
        );
        if longest >= TURN_LIMIT {
            too_much.push(format!("a turn at {}", qemu.display()));
        }
    }
    if too_much.is_empty() {
        return Ok(());
    }
    bail!("too much: {}", too_much.join("; "))
}

/// How often another client wants its turn at a monitor, and how long that may take.
const TURNS: usize = 100;
const TURN_LIMIT: Duration = Duration::from_secs(1);

/// The longest time that a client of a monitor takes to connect and have an answer, while both programs watch it each second.
fn longest_turn(top: &Path, qemu: &Path) -> Result<Duration> {
    let guests = Guests::start("QEMU", qemu, 1)?;
    let pattern = guests.pattern();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(top);
        command.args(arguments).arg(&pattern);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().map(Running)
    };
    let _watchers = [start(&["-b"])?, start(&["exporter", "--listen", ":0"])?];
    std::thread::sleep(WARM_UP);
    let socket = guests.folder.path().join("vm0.qmp");
    let mut longest = Duration::ZERO;
    for turn in 0..TURNS {
        let start = Instant::now();
        // QEMU may hang up on a client that comes while it parts from the one before.
        let ask = || Qmp::open(&socket)?.execute("query-status", json!({}));
        while let Err(error) = ask() {
            if start.elapsed() > PATIENCE {
                return Err(error);
            }
        }
        longest = longest.max(start.elapsed());
        // Not in step with those who watch.
        std::thread::sleep(Duration::from_millis(20 + turn as u64 % 7 * 13));
    }
    Ok(longest)
}

/// A program that does not outlive its figure.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Guests whose monitors are in a folder.
struct Guests {
    _running: Vec<Running>,
    folder: tempfile::TempDir,
}

impl Guests {
    fn start(kind: &str, program: &Path, n_guests: usize) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let sockets: Vec<PathBuf> = (0..n_guests)
            .map(|it| folder.path().join(format!("vm{it}.qmp")))
            .collect();
        let mut running = Vec::new();
        for (number, socket) in sockets.iter().enumerate() {
            let mut command = Command::new(program);
            for thread in 0..THREADS {
                command.args(["--object", &format!("iothread,id=io{thread}")]);
            }
            match kind {
                "QEMU" => qemu(&mut command, number, socket),
                _ => {
                    command.arg("--qmp");
                    command.arg(format!("unix:{}", socket.display()));
                }
            }
            let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
            let child = child.with_context(|| format!("cannot start {}", program.display()))?;
            running.push(Running(child));
        }
        for socket in &sockets {
            eventually(|| UnixStream::connect(socket).is_ok());
        }
        Ok(Self {
            _running: running,
            folder,
        })
    }

    fn pattern(&self) -> String {
        self.folder.path().join("*.qmp").display().to_string()
    }
}

/// A guest that does not run, with a disk on each IOThread.
fn qemu(command: &mut Command, number: usize, socket: &Path) {
    command.args(["-nodefaults", "-display", "none", "-S", "-m", "16"]);
    command.args(["-name", &format!("vm{number},debug-threads=on")]);
    for thread in 0..THREADS {
        let node = format!("null-co,node-name=n{thread}");
        let device = format!("virtio-blk-pci,id=d{thread},drive=n{thread},iothread=io{thread}");
        command.args(["-blockdev", &node, "-device", &device]);
    }
    command.arg("--qmp");
    command.arg(format!("unix:{},server=on,wait=off", socket.display()));
}

/// How guests are watched.
#[derive(Clone, Copy)]
enum Watcher {
    /// A table of all of them, once a second.
    Table,
    /// The live screen.
    Screen,
    /// Metrics, which are asked for once a second.
    Exporter,
}

impl Watcher {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Screen => "screen",
            Self::Exporter => "exporter, scraped each second",
        }
    }

    /// The part of a processor that it takes.
    fn measure(self, top: &Path, guests: &Guests, time: Duration) -> Result<f64> {
        let pattern = guests.pattern();
        let mut command = Command::new(top);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        match self {
            Self::Table => used(command.args(["-b", &pattern]), time, || Ok(())),
            Self::Screen => {
                let terminal = Terminal::open()?;
                // The size that people have.
                let mut command = Command::new("sh");
                command.args(["-c", "stty rows 50 cols 160; exec \"$0\" \"$@\""]);
                command.arg(top).arg(&pattern).env("TERM", "xterm");
                command.stdin(terminal.other.try_clone()?);
                command.stdout(terminal.other.try_clone()?);
                used(&mut command, time, || Ok(()))
            }
            Self::Exporter => {
                // A port that is free now.
                let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
                command.args(["exporter", "--listen", &at, &pattern]);
                command.stderr(Stdio::null());
                used(&mut command, time, || scrape(&at))
            }
        }
    }
}

/// Starts a program, and measures it while `act` is done once a second.
fn used(command: &mut Command, time: Duration, act: impl Fn() -> Result<()>) -> Result<f64> {
    let program = Running(command.spawn().context("cannot start iothread-top")?);
    std::thread::sleep(WARM_UP);
    let (start, before) = (Instant::now(), processor_time(program.0.id())?);
    while start.elapsed() < time {
        std::thread::sleep(Duration::from_secs(1));
        act()?;
    }
    let used = processor_time(program.0.id())? - before;
    Ok(used.as_secs_f64() / start.elapsed().as_secs_f64())
}

/// What all threads of a process have used, those that have ended among them.
fn processor_time(process: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    // proc(5): fields 14 and 15, where the state, which is first here, is the third.
    let fields = behind.split_whitespace().skip(14 - 3).take(2);
    let ticks: u64 = fields.filter_map(|it| it.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

pub(super) fn scrape(at: &str) -> Result<()> {
    let mut stream = TcpStream::connect(at).context("metrics are not served")?;
    let accept = "application/openmetrics-text; version=1.0.0";
    write!(
        stream,
        "GET /metrics HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if !text.ends_with("# EOF\n") {
        bail!("a scrape that has no end");
    }
    Ok(())
}

/// A terminal that somebody reads and nobody looks at.
struct Terminal {
    other: File,
}

impl Terminal {
    fn open() -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let other = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        let mut reader = File::from(master);
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            // It ends with an error when nobody has the other end.
            while let Ok(1..) = reader.read(&mut buffer) {}
        });
        Ok(Self {
            other: other.into(),
        })
    }
}
