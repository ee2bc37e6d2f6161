//! Test programs: cargo builds them, and they run side by side, since most tests wait.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// What runs by itself: a test program, or cargo with something that takes its time.
pub(super) struct Job {
    /// As cargo names a program that it runs.
    pub(super) title: String,
    pub(super) command: Command,
}

/// What became of a job.
pub(super) struct Done {
    pub(super) title: String,
    /// All that it printed, errors too, in their order.
    pub(super) text: String,
    pub(super) has_succeeded: bool,
    pub(super) duration: Duration,
}

/// A message of cargo, as far as it is of use here.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Runs `build`, which is cargo and builds tests, and gives the programs in an order that does not depend on when each was built.
pub(super) fn build(build: &mut Command) -> Result<Vec<Job>> {
    build.arg("--message-format=json-render-diagnostics");
    build.stdout(Stdio::piped());
    let mut cargo = build.spawn().context("cargo does not start")?;
    let messages = cargo.stdout.take().context("cargo has no output")?;
    let mut programs = Vec::new();
    for line in BufReader::new(messages).lines() {
        let message: Message = serde_json::from_str(&line?).context("a message of cargo")?;
        programs.extend(program(message));
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "cargo test: {status}");
    // What compiles crates of its own takes longest, and the others fill what is left.
    let is_early = |program: &Job| program.title.starts_with("tests/generated/");
    programs.sort_by_key(|program| (!is_early(program), program.title.clone()));
    Ok(programs)
}

fn program(message: Message) -> Option<Job> {
    let (manifest, target) = (message.manifest_path?, message.target?);
    let executable = message.executable?;
    if !message.profile?.test {
        return None;
    }
    let package = manifest.parent()?;
    let source = target.src_path.strip_prefix(package).ok()?.display();
    let unit = if target.kind.iter().any(|kind| kind == "test") {
        ""
    } else {
        "unittests "
    };
    Some(Job {
        title: format!("{unit}{source} ({})", executable.display()),
        command: in_package(&executable, package),
    })
}

/// A program as cargo would run it.
fn in_package(executable: &Path, package: &Path) -> Command {
    let mut command = Command::new(executable);
    command.current_dir(package);
    command.env("CARGO_MANIFEST_DIR", package);
    command
}

/// Runs `jobs` in their order, as many as `n_lanes` at a time, and shows each that is done to `look`.
pub(super) fn run(jobs: Vec<Job>, n_lanes: usize, mut look: impl FnMut(Done)) -> Result<()> {
    let jobs = Mutex::new(VecDeque::from(jobs));
    let (sender, done) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..n_lanes {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                let next = || {
                    jobs.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front()
                };
                while let Some(job) = next() {
                    // Nobody listens any more when something has gone wrong.
                    if sender.send(job.run()).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        done.iter().try_for_each(|done| done.map(&mut look))
    })
}

impl Job {
    fn run(mut self) -> Result<Done> {
        let start = Instant::now();
        println!("     Running {}", self.title);
        // One pipe for both, so that the order stays.
        let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        self.command.stdin(Stdio::null());
        self.command.stdout(writer.try_clone()?).stderr(writer);
        let started = self.command.spawn();
        let mut child = started.with_context(|| format!("cannot start {}", self.title))?;
        // The command's own ends would keep the pipe open.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(Done {
            title: self.title,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            has_succeeded: child.wait()?.success(),
            duration: start.elapsed(),
        })
    }
}
