//! Many guests at once.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::Suite;

use super::guests::start_at;
use super::lifeline::start_trickling;
use super::{Program, program};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("nobody-waits-for-another", nobody_waits_for_another)
        .always("guests-come-and-go", guests_come_and_go)
}

/// Rounds of a program that runs on.
pub(crate) struct Rounds {
    _program: Program,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Rounds {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = program(&["-b", "--json", "-d", "0.1", "--deadline", "3"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        Self {
            _program: Program(child),
            lines: BufReader::new(out).lines(),
        }
    }

    fn next(&mut self) -> Vec<Value> {
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

/// Of 50 guests one is stopped, one says its greeting in drops, and one dies and comes back.
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
    let is_well = |guest: &Value| guest["target"].as_str().unwrap().contains("/well-");
    let guests = rounds.until(|guests| {
        state(guests, "/stopped.qmp") == Some("silent")
            && state(guests, "/trickling.qmp") == Some("silent")
            && state(guests, "/mortal.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
    assert_eq!(guests.len(), 50);
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

    drop(mortal);
    rounds.until(|guests| state(guests, "/mortal.qmp") == Some("gone"));
    let _mortal = start_at(&[&path("mortal.qmp")], &[])?;
    rounds.until(|guests| {
        state(guests, "/mortal.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
    kill_process(process, Signal::CONT)?;
    rounds.until(|guests| {
        state(guests, "/stopped.qmp").is_some_and(|it| it == "alive" || it == "slow")
    });
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
