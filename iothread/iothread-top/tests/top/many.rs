//! Many guests at once.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{LIVE, Suite, eventually};

use super::exporter::Exporter;
use super::guests::start_at;
use super::lifeline::start_trickling;
use super::{Program, program};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("nobody-waits-for-another", nobody_waits_for_another)
        .always("a-hundred-guests", || many_guests(100))
        .always(&format!("{LIVE}five-hundred-guests"), || many_guests(500))
        .always("guests-come-and-go", guests_come_and_go)
}

/// Rounds of a program that runs on.
pub(crate) struct Rounds {
    program: Program,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Rounds {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = program(&["-b", "--json", "-d", "0.3", "--deadline", "3"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        Self {
            program: Program(child),
            lines: BufReader::new(out).lines(),
        }
    }

    pub(crate) fn next(&mut self) -> Vec<Value> {
        let line = self.lines.next().unwrap().unwrap();
        let round: Value = serde_json::from_str(&line).unwrap();
        round["guests"].as_array().unwrap().clone()
    }

    /// Takes rounds until one is as wanted.
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let deadline = std::time::Instant::now() + tests::PATIENCE;
        loop {
            let guests = self.next();
            if is_it(&guests) {
                return guests;
            }
            assert!(std::time::Instant::now() < deadline, "{guests:?}");
        }
    }
}

fn state<'g>(guests: &'g [Value], name: &str) -> Option<&'g str> {
    let guest = guests
        .iter()
        .find(|it| it["target"].as_str().is_some_and(|it| it.ends_with(name)))?;
    guest["state"].as_str()
}

fn n_looks(guest: &Value) -> u64 {
    guest["looks"].as_u64().unwrap()
}

/// What the exporter says of a guest: its state, and how often it was looked at.
fn exported(metrics: &str, name: &str) -> Option<(String, f64)> {
    let is_of = |line: &&str| line.contains(&format!("{name}\""));
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    let mut lines = metrics.lines().filter(is_of);
    let state = lines
        .clone()
        .filter(|it| it.starts_with("iothread_guest_state{"))
        .find(|it| value(it) == 1.0)?;
    let state = state.rsplit_once("state=\"")?.1.split('"').next()?;
    let looks = lines.find(|it| it.starts_with("iothread_guest_looks_total{"))?;
    Some((state.to_owned(), value(looks)))
}

/// Of 50 guests one is stopped, one says its greeting in drops, and one dies and comes back: for the table and for the exporter.
fn nobody_waits_for_another() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let well: Vec<PathBuf> = (0..47).map(|it| path(&format!("well-{it}.qmp"))).collect();
    let well: Vec<_> = well.iter().map(PathBuf::as_path).collect();
    let _well = start_at(&well, &["--object", "iothread,id=io0"])?;
    let stopped = start_at(&[&path("stopped.qmp")], &[])?;
    let mortal = start_at(&[&path("mortal.qmp")], &[])?;
    start_trickling(&path("trickling.qmp"))?;
    let process = Pid::from_raw(stopped.0.id().cast_signed()).unwrap();
    kill_process(process, Signal::STOP)?;

    let pattern = path("*.qmp").display().to_string();
    let mut rounds = Rounds::start(&[&pattern]);
    let exporter = Exporter::start(&[&pattern]);
    let is_exported = |name: &str, states: &[&str]| {
        let found = exported(&exporter.metrics(), name);
        found.is_some_and(|(state, _)| states.contains(&state.as_str()))
    };
    let is_well = |guest: &Value| guest["target"].as_str().unwrap().contains("/well-");
    let guests = rounds.until(|guests| {
        state(guests, "/stopped.qmp") == Some("silent")
            && state(guests, "/trickling.qmp") == Some("silent")
            && state(guests, "/mortal.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
    assert_eq!(guests.len(), 50);
    eventually(|| {
        is_exported("/stopped.qmp", &["silent"])
            && is_exported("/trickling.qmp", &["silent"])
            && is_exported("/mortal.qmp", &["alive", "slow"])
    });
    // While the stopped one has its time once, each of the others is looked at again and again.
    let looks_of = |guests: &[Value], name: &str| {
        let is_it = |it: &&Value| it["target"].as_str().unwrap().ends_with(name);
        n_looks(guests.iter().find(is_it).unwrap())
    };
    let mut before = guests;
    rounds.until(|guests| {
        if looks_of(guests, "/stopped.qmp") > looks_of(&before, "/stopped.qmp") + 1 {
            // The machine was busy with something else.
            before = guests.to_vec();
        }
        let mut others = before.iter().zip(guests).filter(|(it, _)| is_well(it));
        others.all(|(before, after)| n_looks(after) > n_looks(before) + 2)
    });
    let n_exported = |metrics: &str, name: &str| exported(metrics, name).unwrap().1;
    let mut before = exporter.metrics();
    eventually(|| {
        let now = exporter.metrics();
        let more = |name: &str| n_exported(&now, name) - n_exported(&before, name);
        if more("/stopped.qmp") > 1.0 {
            // As above.
            before = now;
            return false;
        }
        (0..47).all(|it| more(&format!("/well-{it}.qmp")) > 2.0)
    });

    drop(mortal);
    rounds.until(|guests| state(guests, "/mortal.qmp") == Some("gone"));
    eventually(|| is_exported("/mortal.qmp", &["gone"]));
    let _mortal = start_at(&[&path("mortal.qmp")], &[])?;
    rounds.until(|guests| {
        state(guests, "/mortal.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
    eventually(|| is_exported("/mortal.qmp", &["alive", "slow"]));
    kill_process(process, Signal::CONT)?;
    rounds.until(|guests| {
        state(guests, "/stopped.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
    eventually(|| is_exported("/stopped.qmp", &["alive", "slow"]));
    Ok(())
}

/// They take a descriptor each, for which there is room even where a shell leaves little, and no threads.
fn many_guests(n_guests: usize) -> Result<(), Failed> {
    let _processors = super::processors();
    let folder = tempfile::tempdir()?;
    let sockets: Vec<PathBuf> = (0..n_guests)
        .map(|it| folder.path().join(format!("{it}.qmp")))
        .collect();
    let sockets: Vec<_> = sockets.iter().map(PathBuf::as_path).collect();
    let _server = start_at(&sockets, &["--object", "iothread,id=io0"])?;
    let top = env!("CARGO_BIN_EXE_iothread-top");
    let n_open = n_guests * 2 / 5;
    let script =
        format!("ulimit -S -n {n_open}; exec '{top}' -b --json --hold --deadline 60 \"$@\"");
    let pattern = folder.path().join("*.qmp").display().to_string();
    let mut child = Command::new("sh")
        .args(["-c", &script, "sh", &pattern])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = BufReader::new(child.stdout.take().unwrap());
    let child = Program(child);
    let mut rounds = Rounds {
        program: child,
        lines: out.lines(),
    };
    let is_well = |it: &Value| it["state"] == "alive" || it["state"] == "slow";
    rounds.until(|guests| guests.len() == n_guests && guests.iter().all(is_well));
    let process = rounds.program.0.id();
    let n_entries =
        |what: &str| std::fs::read_dir(format!("/proc/{process}/{what}")).map(Iterator::count);
    let (n_descriptors, n_threads) = (n_entries("fd")?, n_entries("task")?);
    assert!(n_descriptors < n_guests + 50, "{n_descriptors}");
    assert!(n_threads < 10, "{n_threads}");
    Ok(())
}

fn guests_come_and_go() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let pattern = path("*.qmp").display().to_string();
    let mut rounds = Rounds::start(&[&pattern]);
    assert!(rounds.next().is_empty());
    let _first = start_at(&[&path("a.qmp")], &[])?;
    rounds.until(|guests| guests.len() == 1);
    let _second = start_at(&[&path("b.qmp")], &[])?;
    let guests = rounds.until(|guests| guests.len() == 2);
    assert!(guests[0]["target"].as_str().unwrap().ends_with("/a.qmp"));
    Ok(())
}
