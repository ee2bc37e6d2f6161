//! Linux on other processors, for which QEMU's user-mode emulation stands in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::super::programs::Job;
use super::super::steps::Steps;
use super::super::{builds, run_jobs};
use super::{Extent, System, WITHOUT_PEERS, malformed};
use crate::toolchain::WARNINGS;

pub(super) const S390X: System = System {
    target: "s390x-unknown-linux-gnu",
    what: EVERYTHING,
    linker: Some("s390x-linux-gnu-gcc"),
    runner: &["qemu-s390x"],
    run: |system, steps, cargo, extent| {
        run(
            system,
            "/usr/s390x-linux-gnu/lib/ld64.so.1",
            steps,
            cargo,
            extent,
        );
    },
};

pub(super) const AARCH64: System = System {
    target: "aarch64-unknown-linux-gnu",
    what: EVERYTHING,
    linker: Some("aarch64-linux-gnu-gcc"),
    runner: &["qemu-aarch64"],
    run: |system, steps, cargo, extent| {
        let loader = "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1";
        run(system, loader, steps, cargo, extent);
    },
};

/// The unit tests of all libraries, and the suites that know what goes over wires.
const EVERYTHING: &[&str] = &[
    "--lib",
    "--all-features",
    "--package=qapi-gen",
    "--package=qapi-runtime",
    "--package=qmp",
    "--package=iothread",
    "--package=iothread-qapi",
    "--package=iothread-testing",
    "--package=iothread-metrics",
    "--package=iothreadd",
    "--package=iothread-top",
    "--test=cases",
    "--test=daemon",
    "--test=peers",
    "--test=runtime",
];

/// The other suites, without those that measure memory or compile what they have generated.
const MORE: &[&str] = &[
    "--test=library",
    "--test=process",
    "--test=refused",
    "--test=helpers",
    "--test=qmp",
    "--test=top",
];

/// What is run of suites that take minutes where they are emulated, unless everything is: by the beginning of their titles.
const CHOSEN: [(&str, &[&str]); 4] = [
    ("tests/cases/", &["introspect::"]),
    (
        "tests/daemon/",
        &[
            // With the protocol of NBD.
            "protocol::",
            "nbd::",
            "vhost_user_blk::",
            "vfio_user::",
            "subsystems::vfio::",
            "colo::",
            "resizing::",
            "sockets::",
        ],
    ),
    // Random input, with thousands of requests.
    ("tests/peers/", &["--skip", "fio"]),
    ("tests/runtime/", &["recordings::", "json::", "session::"]),
];

/// Tests with peers, which are programs of this machine: NBD clients that verify what they read.
const WITH_PEERS: (&str, &str) = ("tests/peers/", "live::nbd::");

/// Tests that emulation makes impossible, and how.
const IMPOSSIBLE: [(&str, &str); 2] = [
    (
        "kernels::a_kernel_without_the_calls_is_served_as_well",
        "strace sees the calls of the emulator",
    ),
    (
        "kernels::a_server_that_cannot_go_on_says_why_and_ends",
        "strace sees the calls of the emulator",
    ),
];

/// Tests that pass under QEMU 11.1 and fail under 7.2, so only newer emulators run them.
const TOO_NEW: [(&str, &str); 2] = [
    (
        "keys_edit_lines_on_a_terminal",
        "an old emulator does not know TCGETS2",
    ),
    (
        "colo::a_peer_that_is_owed_something_is_not_left_in_the_middle_of_it",
        "an old emulator does not end the connection",
    ),
];

/// Where newer emulators are, which know calls that others do not: the name of a variable.
const NEWER: &str = "QEMU_USER";

/// `loader` is linked in, so that no path of this machine means another file to the programs. The libraries are beside it.
fn run(system: &System, loader: &str, steps: &mut Steps, mut cargo: Command, extent: Extent) {
    let libraries = Path::new(loader).parent().unwrap_or(Path::new("/"));
    let link = format!(
        "{WARNINGS} -Clink-arg=-Wl,--dynamic-linker={loader} -Clink-arg=-Wl,-rpath={}",
        libraries.display()
    );
    cargo.env("RUSTFLAGS", link).arg("--no-run");
    if extent == Extent::All {
        cargo.args(MORE);
    }
    let mut artifacts = Vec::new();
    let is_built = steps.step(&format!("build for {}", system.target), || {
        artifacts = builds::build(&mut cargo)?;
        builds::started(&artifacts).try_for_each(|program| stand_in_for(system, program))
    });
    if !is_built {
        return;
    }
    for (test, why) in IMPOSSIBLE.iter().chain(&TOO_NEW) {
        steps.lack(&format!("{test}: {why}"));
    }
    let mut emulators = vec![system.runner.join(" ")];
    if extent == Extent::All {
        match std::env::var(NEWER) {
            Ok(folder) => emulators.push(format!("{folder}/{}", emulators[0])),
            Err(_) => steps.lack(&format!("{}: no newer emulator is here", system.target)),
        }
    }
    let jobs = emulators.iter().enumerate().flat_map(|(place, emulator)| {
        let too_new: &[_] = if place == 0 { &TOO_NEW } else { &[] };
        let jobs = builds::programs(&artifacts).into_iter();
        jobs.map(move |job| emulated(job, emulator, too_new, extent))
    });
    run_jobs(steps, jobs.collect());
    malformed::compare(steps, system, &artifacts, extent);
}

/// Has a program that tests start be emulated, whoever starts it: moves it away, and leaves a script in its place. Cargo puts it
/// there again.
fn stand_in_for(system: &System, program: &Path) -> Result<()> {
    let (folder, name) = (program.parent(), program.file_name());
    let (folder, name) = folder.zip(name).context("a program has a name")?;
    let folder = folder.join("emulated");
    std::fs::create_dir_all(&folder)?;
    let moved = folder.join(name);
    // After an earlier run both are names of one file, and nothing happens where one is moved to the other.
    if moved.exists() {
        std::fs::remove_file(&moved)?;
    }
    std::fs::rename(program, &moved)?;
    Ok(tests::stand_in(&system.runner.join(" "), &moved, program)?)
}

/// The same program, emulated.
fn emulated(job: Job, emulator: &str, too_new: &[(&str, &str)], extent: Extent) -> Job {
    let mut job = super::run_by(&[emulator.into()], job);
    for (test, _) in IMPOSSIBLE.iter().chain(too_new) {
        job.command.args(["--skip", test]);
    }
    let (peers, names) = WITH_PEERS;
    match job.title.starts_with(peers) {
        true => job.command.arg(names),
        false => job.command.args(WITHOUT_PEERS),
    };
    let chosen = CHOSEN
        .iter()
        .find(|(title, _)| job.title.starts_with(title));
    if let (Some((_, names)), Extent::Chosen) = (chosen, extent) {
        job.command.args(*names);
    }
    job
}
