//! The metrics of iothreadd itself, read by those for whom they are made.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use libtest_mimic::Failed;
use serde_json::json;
use tests::http::get;
use tests::{Qmp, Suite, Tool, eventually};

use super::exporter::Prometheus;
use super::guests::Disks;

pub(crate) fn add(suite: Suite) -> Suite {
    let load = || Tool::Program("qemu-img");
    suite
        .with_all(
            "promtool-takes-what-iothreadd-says",
            [Tool::Program("promtool"), load()],
            |[promtool, load]| promtool_takes_what_iothreadd_says(promtool, load),
        )
        .with_all(
            "prometheus-scrapes-iothreadd",
            [Tool::Program("prometheus"), load()],
            |[prometheus, load]| prometheus_scrapes_iothreadd(prometheus, load),
        )
        .with_all(
            "times-of-iothreadd-agree-with-perf",
            [Tool::Program("perf"), load()],
            |[perf, load]| times_of_iothreadd_agree_with_perf(perf, load),
        )
}

/// Exports on io0 and io1, and where the metrics are.
fn start() -> (Disks, String) {
    let mut disks = Disks::start_with(["io0", "io1"], &["--metrics", ":0"]);
    let mut at = None;
    eventually(|| {
        let lines = disks.server.said().into_iter();
        let mut told =
            lines.filter_map(|it| Some(it.split_once("metrics at http://")?.1.to_owned()));
        at = told.next();
        at.is_some()
    });
    let at = at.expect("it has been told");
    let at = at.strip_suffix("/metrics").expect("an address").to_owned();
    (disks, at)
}

fn series(at: &str) -> HashMap<String, f64> {
    let (_, page) = get(at, "/metrics", "text/plain");
    let lines = page.lines().filter(|it| !it.starts_with('#'));
    let values = lines.filter_map(|it| it.rsplit_once(' '));
    values
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

fn promtool_takes_what_iothreadd_says(promtool: &Path, qemu_img: &Path) -> Result<(), Failed> {
    let (disks, at) = start();
    let load = disks.load(qemu_img, "e0", 64);
    let asked = "iothread_export_request_duration_seconds_count{export=\"e0\"";
    eventually(|| series(&at).keys().any(|it| it.starts_with(asked)));
    drop(load);
    let (_, page) = get(&at, "/metrics", "text/plain");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    check.stdin.take().unwrap().write_all(page.as_bytes())?;
    let checked = check.wait_with_output()?;
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}\n{page}"
    );
    Ok(())
}

fn prometheus_scrapes_iothreadd(prometheus: &Path, qemu_img: &Path) -> Result<(), Failed> {
    let (disks, at) = start();
    let _load = disks.load(qemu_img, "e0", 64);
    let prometheus = Prometheus::start(prometheus, &at);
    let busiest =
        "topk(1, sum by (iothread) (rate(iothread_loop_seconds_total{phase=\"dispatching\"}[6s])))";
    eventually(|| {
        let found = prometheus.query(busiest);
        found.iter().any(|it| it["metric"]["iothread"] == "io0")
    });
    for query in [
        "sum by (iothread) (rate(iothread_cpu_seconds_total[6s])) > 0",
        "rate(iothread_export_requests_total{export=\"e0\",outcome=\"done\"}[6s]) > 0",
        "histogram_quantile(0.9, rate(iothread_export_request_duration_seconds_bucket[6s])) > 0",
        "iothread_holder_info{holder=\"e0\"} == 1",
        "iothread_qmp_commands_total{command=\"block-export-add\"} == 2",
    ] {
        eventually(|| !prometheus.query(query).is_empty());
    }
    Ok(())
}

/// What perf counts of a thread in ten seconds, as a part of them.
fn share_by_perf(perf: &Path, thread_id: i64) -> std::io::Result<std::process::Child> {
    Command::new(perf)
        .args(["stat", "-x", ",", "-e", "task-clock,duration_time", "-t"])
        .arg(thread_id.to_string())
        .args(["--", "sleep", "10"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

fn share(said: &str) -> f64 {
    let number = |event: &str| -> f64 {
        let line = said.lines().find(|it| it.contains(event));
        let value = line.and_then(|it| it.split(',').next());
        // A thread that has not run.
        if value == Some("<not counted>") {
            return 0.0;
        }
        let value = value.and_then(|it| it.parse().ok());
        value.unwrap_or_else(|| panic!("{event}: {said}"))
    };
    number("task-clock") / (number("duration_time") / 1e6)
}

/// Two threads, one of them under load, in the same ten seconds. Others on this machine may take the processors away in between,
/// so there are three tries.
fn times_of_iothreadd_agree_with_perf(perf: &Path, qemu_img: &Path) -> Result<(), Failed> {
    let (disks, at) = start();
    let _load = disks.load(qemu_img, "e0", 64);
    let mut client = Qmp::open(disks.server.socket())?;
    let threads = client.execute("query-iothreads", json!({}))?;
    let mut told = Vec::new();
    for _ in 0..3 {
        let (begin, before) = (Instant::now(), series(&at));
        let counting: Vec<_> = (0..2)
            .map(|index| share_by_perf(perf, threads[index]["thread-id"].as_i64().unwrap()))
            .collect::<Result<_, _>>()?;
        let mut by_perf = Vec::new();
        for counting in counting {
            let output = counting.wait_with_output()?;
            by_perf.push(share(&String::from_utf8_lossy(&output.stderr)));
        }
        let after = series(&at);
        let seconds = begin.elapsed().as_secs_f64();
        let part = |name: &str| (after[name] - before[name]) / seconds;
        let by_us = ["io0", "io1"].map(|id| {
            let mode =
                |mode| format!("iothread_cpu_seconds_total{{iothread=\"{id}\",mode=\"{mode}\"}}");
            part(&mode("user")) + part(&mode("system"))
        });
        let work = part("iothread_loop_seconds_total{iothread=\"io0\",phase=\"dispatching\"}");
        let agrees = |index: usize| (by_us[index] - by_perf[index]).abs() < 0.05;
        told.push(format!(
            "metrics {by_us:?}, perf {by_perf:?}, dispatching {work}"
        ));
        if agrees(0) && agrees(1) {
            assert!(by_us[0] > by_us[1] && work > 0.0, "{told:?}");
            println!("{}", told[told.len() - 1]);
            return Ok(());
        }
    }
    Err(told.join("\n").into())
}
