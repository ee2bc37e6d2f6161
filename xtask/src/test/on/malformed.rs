//! Whether what is malformed gets the answers on another processor that it gets here.
//!
//! The recordings of `../shared` say what is sent: whole sessions, and commands each of which has something wrong. `iothreadd` gets
//! both, `qapi-gen validate` the commands, with the schema that they were made for. Equal have to be all messages without their
//! timestamps, and every byte that `validate` prints.

use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Result, anyhow, bail, ensure};
use tests::Tool;
use tests::generated::feed;
use tests::reference::first_difference;

use super::super::programs::lanes;
use super::super::steps::Steps;
use super::super::{builds, on_workspace};
use super::corpus::requests;
use super::{Extent, System};
use crate::conformance::protocol::{Recording, play, recordings};

/// The QEMU that was given commands with mistakes, and all whose sessions were recorded.
const RELEASE: &str = "10.0.13";
const RELEASES: [&str; 2] = [RELEASE, "11.1.3"];

const NEGOTIATION: &str = "{ \"execute\": \"qmp_capabilities\" }\n";

/// Asks a program here and the same one there, with the recordings in a folder. Says how many answers are equal.
type Compare = fn(&Path, [&Path; 2], Extent) -> Result<usize>;

/// The programs, and how they are asked.
const ASKED: [(&str, Compare); 2] = [("iothreadd", sessions), ("qapi-gen", validate)];

/// Asks every program of the system.
pub(super) fn compare(
    steps: &mut Steps,
    system: &System,
    artifacts: &[builds::Artifact],
    extent: Extent,
) {
    let Some(shared) = Tool::Shared.find() else {
        steps.lack("answers to what is malformed: no recordings in ../shared");
        return;
    };
    let qemu = shared.join("qemu");
    for (name, compare) in ASKED {
        if !system.has(name) {
            continue;
        }
        let mut n_equal = 0;
        let title = format!("{name} answers what is malformed as it does here");
        steps.step(&title, || {
            let here = builds::build(on_workspace("build").args(["--bin", name]))?;
            let here = builds::program(&here, name)?;
            let there = builds::program(artifacts, name)?;
            n_equal = compare(&qemu, [&here, &there], extent)?;
            ensure!(n_equal > 0, "nothing was answered");
            println!("{n_equal} answers are equal");
            Ok(())
        });
        steps.compared(n_equal);
    }
}

/// Plays sessions, of which one has all the commands. Well-formed ones are played by tests of the daemon as well, so they are left
/// out unless everything is tested.
fn sessions(qemu: &Path, programs: [&Path; 2], extent: Extent) -> Result<usize> {
    let commands = requests(&qemu.join(RELEASE).join("transcripts/validation.jsonl"))?;
    let mut sessions = vec![Recording {
        name: "commands".to_owned(),
        sent: format!("{NEGOTIATION}{commands}").into_bytes(),
        received: Vec::new(),
    }];
    for release in RELEASES {
        let file = qemu.join(release).join("transcripts/protocol.jsonl");
        let recordings = recordings(&file)?.into_iter();
        sessions.extend(recordings.filter(|it| extent == Extent::All || has_parse_error(it)));
    }
    // The emulator takes longest to start.
    let share = sessions.len().div_ceil(lanes());
    thread::scope(|scope| {
        let shares = sessions.chunks(share);
        let shares: Vec<_> = shares
            .map(|sessions| scope.spawn(move || play_all(sessions, programs)))
            .collect();
        let counts = shares.into_iter().map(|share| {
            let count = share.join();
            count.map_err(|_| anyhow!("a session cannot be played"))?
        });
        counts.sum()
    })
}

/// Whether what is sent is no JSON.
fn has_parse_error(session: &Recording) -> bool {
    let mut texts = session.received.iter().map(ToString::to_string);
    texts.any(|text| text.contains("JSON parse error"))
}

/// Plays sessions on both. Where the reference differs is no matter of the processor.
fn play_all(sessions: &[Recording], [here, there]: [&Path; 2]) -> Result<usize> {
    let mut n_equal = 0;
    for Recording { name, sent, .. } in sessions {
        let expected = Recording {
            name: name.clone(),
            sent: Vec::new(),
            received: play(here, sent)?,
        };
        let received = play(there, sent)?;
        if let Some(difference) = expected.differs_from(&received) {
            bail!("{difference}");
        }
        n_equal += received.len();
    }
    Ok(n_equal)
}

/// Has the commands looked at.
fn validate(qemu: &Path, programs: [&Path; 2], _: Extent) -> Result<usize> {
    let release = qemu.join(RELEASE);
    let commands = requests(&release.join("transcripts/validation.jsonl"))?;
    let answers = |program| {
        let mut command = Command::new(program);
        command.args([
            "validate",
            "--config",
            "qemu.config",
            "qapi/qapi-schema.json",
        ]);
        feed(command.current_dir(&release), &commands)
    };
    let [here, there] = programs.map(answers);
    let (here, there) = (here?, there?);
    ensure!(here == there, "{}", first_difference(&here, &there));
    Ok(there.lines().count())
}
