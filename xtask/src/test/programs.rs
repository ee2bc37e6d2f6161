//! Test programs run side by side, since most tests wait.

use std::collections::VecDeque;
use std::io::Read as _;
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

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

/// How many run at a time. The daemon's tests mostly wait, so one program more than there are cores keeps them at work.
pub(super) fn lanes() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get) + 1
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
