//! `qapi-gen compat` of a long log over four versions, beside a program that does nothing but read the log's JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::json;

use super::measure::{Usage, measure, median, python};
use crate::process::QAPI_GEN;

/// Arguments of `bench compat`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The versions: schemas, or what servers have told.
    #[arg(long, value_name = "PATH", num_args = 1.., default_values = [
        "../shared/qemu/10.0.13/qapi/qapi-schema.json",
        "../shared/qemu/10.2.2/qapi/qapi-schema.json",
        "../shared/qemu/11.1.3/qapi/qapi-schema.json",
        "../shared/qemu/10.0.13/query-qmp-schema.json",
    ])]
    against: Vec<PathBuf>,
}

/// How often each runs, in turns.
const N_RUNS: usize = 9;

/// The length of the log, in bytes.
const LENGTH: usize = 10 << 20;

/// How many seconds of processor time it may take.
const MAX_SECONDS: f64 = 1.0;

/// Reads every line as JSON.
const PEER: &str = "
import json, sys
for line in open(sys.argv[1]):
    json.loads(line)
";

pub(super) fn run(args: &Args) -> Result<()> {
    let program = QAPI_GEN.build_release()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vm.log");
    std::fs::write(&path, log())?;
    let mut ours = Command::new(program);
    // Nothing that breaks, so that the status is good.
    ours.arg("compat").arg(&path).args(["--define-others", "y"]);
    ours.arg("--against").args(&args.against);
    let mut peer = Command::new(python()?);
    peer.args(["-c", PEER]).arg(&path);
    let mut runs: [Vec<Usage>; 2] = Default::default();
    for _ in 0..N_RUNS {
        for (runs, command) in runs.iter_mut().zip([&ours, &peer]) {
            runs.push(measure(command)?);
        }
    }
    // It waits for nothing: what is on a processor is what it takes where nothing else runs.
    let cpu = runs
        .each_ref()
        .map(|runs| median(runs.iter().map(|run| run.cpu).collect()));
    let names = ["compat", "Python's json alone"];
    for (name, (runs, cpu)) in names.iter().zip(runs.iter().zip(cpu)) {
        let wall = median(runs.iter().map(|run| run.wall).collect());
        let peak = runs.iter().map(|run| run.peak).max().unwrap_or(0) / 1024;
        let (wall, cpu) = (wall * 1e3, cpu * 1e3);
        println!("{name}: {wall:.0} ms, {cpu:.0} ms of processor time, {peak} MiB");
    }
    let (length, n_versions) = (LENGTH >> 20, args.against.len());
    println!("{length} MiB over {n_versions} versions (at most {MAX_SECONDS} s of processor time)");
    if cpu[0] > MAX_SECONDS {
        bail!("that is too much");
    }
    Ok(())
}

/// A guest whose disks come and go, and a program that looks at them.
fn log() -> String {
    let mut log = String::from("{\"qmp-session-log\": 1}\n");
    let mut n = 0_u64;
    while log.len() < LENGTH {
        n += 1;
        let (node, file) = (format!("disk{n}"), format!("/images/{n}.qcow2"));
        let image = json!({
            "filename": file, "format": "qcow2", "virtual-size": n << 30, "actual-size": n << 20, "dirty-flag": false,
            "cluster-size": 65536, "format-specific": {"type": "qcow2", "data": {"compat": "1.1", "lazy-refcounts": false,
                "refcount-bits": 16, "corrupt": false, "extended-l2": false, "compression-type": "zlib"}},
        });
        let inserted = json!({
            "file": file, "node-name": node, "ro": false, "drv": "qcow2", "backing_file_depth": 0, "active": true,
            "encrypted": false, "detect_zeroes": "off", "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0,
            "image": image, "cache": {"writeback": true, "direct": n.is_multiple_of(2), "no-flush": false}, "write_threshold": 0,
        });
        let block = json!({"device": "", "qdev": node, "type": "unknown", "removable": false, "locked": false,
            "inserted": inserted});
        let add = json!({"driver": "qcow2", "node-name": node, "discard": "unmap",
            "file": {"driver": "file", "filename": file, "aio": "threads", "cache": {"direct": true}}});
        let deleted = json!({"device": node, "path": format!("/machine/peripheral/{node}")});
        let calls = [
            ("blockdev-add", add, json!({})),
            (
                "device_add",
                json!({"driver": "virtio-blk-pci", "id": node, "drive": node}),
                json!({}),
            ),
            ("query-block", json!({}), json!([block])),
            (
                "query-status",
                json!({}),
                json!({"running": true, "status": "running"}),
            ),
            ("device_del", json!({"id": node}), json!({})),
        ];
        let mut push = |what: &str, message: serde_json::Value| {
            // Writing to a string cannot fail.
            let _ = writeln!(
                log,
                "{{\"connection\": 1, \"at\": {n}, \"{what}\": {message}}}"
            );
        };
        for (command, arguments, answer) in calls {
            push(
                "sent",
                json!({"execute": command, "arguments": arguments, "id": n}),
            );
            push("received", json!({"return": answer, "id": n}));
        }
        let timestamp = json!({"seconds": n, "microseconds": 0});
        push(
            "received",
            json!({"event": "DEVICE_DELETED", "data": deleted, "timestamp": timestamp}),
        );
    }
    log
}
