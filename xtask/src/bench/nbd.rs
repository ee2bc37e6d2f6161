//! `cargo xtask bench nbd`: an export on an IOThread, driven by `qemu-img bench`.
//!
//! The baseline is qemu-storage-daemon with an export of the same file on an IOThread of its own. Runs of the two take
//! turns, and each figure is a median.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tests::{Qmp, Server};

use super::measure::median;
use crate::process::IOTHREADD;

/// Bytes of the image; all of it fits in the page cache.
const SIZE: usize = 64 << 20;

/// Bytes of a request.
const REQUEST: &str = "4096";

/// One thing that is measured.
pub(super) struct Figure {
    pub(super) name: &'static str,
    depth: &'static str,
    pub(super) n_requests: u32,
    options: &'static [&'static str],
}

pub(super) const FIGURES: [Figure; 4] = [
    Figure {
        name: "reads, depth 1",
        depth: "1",
        n_requests: 20_000,
        options: &[],
    },
    Figure {
        name: "reads, depth 32",
        depth: "32",
        n_requests: 60_000,
        options: &[],
    },
    Figure {
        name: "writes, depth 1",
        depth: "1",
        n_requests: 10_000,
        options: &["-w"],
    },
    Figure {
        name: "writes, depth 32",
        depth: "32",
        n_requests: 40_000,
        options: &["-w"],
    },
];

pub(crate) fn run(rounds: usize) -> Result<()> {
    let baseline = find_baseline()?;
    let iothreadd = IOTHREADD.build_release()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let image = make_image(folder.path())?;
    println!("requests a second, {REQUEST} bytes each, median of {rounds} runs");
    let mut too_slow = Vec::new();
    for figure in &FIGURES {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..rounds.max(1) {
            ours.push(measure(&start_iothreadd(&iothreadd, &image, &[])?, figure)?);
            theirs.push(measure_baseline(&baseline, &image, figure)?);
        }
        let [ours, theirs] = [median(ours), median(theirs)];
        let ratio = ours / theirs;
        println!(
            "{:18} iothreadd {ours:8.0}   qemu-storage-daemon {theirs:8.0}   ratio {ratio:.2}",
            figure.name
        );
        if ratio < 1.0 {
            too_slow.push(figure.name);
        }
    }
    if too_slow.is_empty() {
        return Ok(());
    }
    bail!("slower than the baseline: {}", too_slow.join("; "))
}

/// An image in a folder.
pub(super) fn make_image(folder: &Path) -> Result<PathBuf> {
    let image = folder.join("image");
    // Not zeroes, which no server would send.
    std::fs::write(&image, vec![0x5a; SIZE]).context("cannot write an image")?;
    Ok(image)
}

/// As [`measure`] of the baseline. It does not always survive the beginning or the end of a client, so each run has a
/// server of its own, and another one if that was not enough.
fn measure_baseline(program: &Path, image: &Path, figure: &Figure) -> Result<f64> {
    let attempt = || measure(&start_baseline(program, image)?, figure);
    attempt().or_else(|_| attempt()).or_else(|_| attempt())
}

/// The newest qemu-storage-daemon at hand: beside `QEMU_TEN`, or on the `PATH`.
fn find_baseline() -> Result<PathBuf> {
    const NAME: &str = "qemu-storage-daemon";
    let beside = std::env::var_os("QEMU_TEN").map(|qemu| Path::new(&qemu).with_file_name(NAME));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let mut candidates = beside.into_iter().chain(on_path);
    let found = candidates.find(|it| it.is_file());
    found.with_context(|| format!("{NAME} is not here, and there is nothing to compare with"))
}

/// `iothreadd` with an export of the image, and these options beside.
pub(super) fn start_iothreadd(program: &Path, image: &Path, options: &[&str]) -> Result<Server> {
    let server = Server::start(|qmp| {
        let mut command = Command::new(program);
        command.args(["--object", "iothread,id=io0"]).args(options);
        command.arg("--qmp").arg(format!("unix:{}", qmp.display()));
        command
    })?;
    let mut client = Qmp::open(server.socket())?;
    let node = json!({"driver": "file", "node-name": "disk", "filename": image});
    let address = json!({"type": "unix", "data": {"path": nbd_socket(&server)}});
    let export = json!({"type": "nbd", "id": "e0", "node-name": "disk", "iothread": "io0", "writable": true});
    for (command, arguments) in [
        ("blockdev-add", node),
        ("nbd-server-start", json!({"addr": address})),
        ("block-export-add", export),
    ] {
        client.execute(command, arguments)?;
    }
    Ok(server)
}

fn start_baseline(program: &Path, image: &Path) -> Result<Server> {
    Server::start(|qmp| {
        let file = format!("driver=file,node-name=disk,filename={}", image.display());
        let socket = qmp.with_file_name(NBD_SOCKET);
        let address = format!("addr.type=unix,addr.path={}", socket.display());
        let monitor = format!("socket,id=qmp,path={},server=on,wait=off", qmp.display());
        let mut command = Command::new(program);
        command.args(["--object", "iothread,id=io0"]);
        command.args(["--blockdev", &file, "--nbd-server", &address]);
        command.args([
            "--export",
            "type=nbd,id=e0,node-name=disk,writable=on,iothread=io0",
        ]);
        // The last one, so that all is there when it listens.
        command.args(["--chardev", &monitor, "--monitor", "chardev=qmp"]);
        command.stderr(Stdio::null());
        command
    })
}

/// Where both serve NBD, in their folders.
const NBD_SOCKET: &str = "nbd.sock";

fn nbd_socket(server: &Server) -> PathBuf {
    server.folder().join(NBD_SOCKET)
}

/// Requests a second of one run.
pub(super) fn measure(server: &Server, figure: &Figure) -> Result<f64> {
    let mut command = Command::new("qemu-img");
    let count = figure.n_requests.to_string();
    command.args(["bench", "-f", "raw", "-s", REQUEST]);
    command.args(["-d", figure.depth, "-c", &count]);
    let uri = format!("nbd+unix:///disk?socket={}", nbd_socket(server).display());
    command.args(figure.options).arg(uri);
    let output = command
        .output()
        .context("cannot start qemu-img (package qemu-utils)")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let seconds = stdout
        .lines()
        .find_map(|line| line.strip_prefix("Run completed in "))
        .and_then(|line| line.split(' ').next())
        .and_then(|seconds| seconds.parse::<f64>().ok())
        .filter(|_| output.status.success())
        .with_context(|| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{command:?}: {stdout}{stderr}")
        })?;
    Ok(f64::from(figure.n_requests) / seconds)
}
