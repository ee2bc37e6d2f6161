//! Parts of processors, beside others who measure the same.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Suite, Tool, eventually};

use super::guests::Disks;
use super::{Program, address, text_of};

pub(crate) fn add(suite: Suite) -> Suite {
    let load = Tool::Program("qemu-img");
    suite
        .with("shares-agree-with-the-kernels-counter", load, |qemu_img| {
            shares_agree(qemu_img, None)
        })
        .with_all(
            "shares-agree-with-perf",
            [load, Tool::Program("perf")],
            |[qemu_img, perf]| match may_count(perf) {
                true => shares_agree(qemu_img, Some(perf)),
                false => Ok(()),
            },
        )
}

/// The most by which they may differ: five points of a hundred.
const AGREED: f64 = 0.05;

/// Seconds that a thread has run by some moments, as somebody counts them.
#[derive(Default, Clone)]
struct Counted(Arc<Mutex<Vec<(Instant, f64)>>>);

impl Counted {
    fn note(&self, ran: f64) {
        self.0.lock().unwrap().push((Instant::now(), ran));
    }

    /// When it had run for so long.
    fn moment(&self, ran: f64) -> Instant {
        let all = self.0.lock().unwrap();
        let index = all.partition_point(|(_, it)| *it < ran);
        assert!(0 < index && index < all.len(), "{index} of {}", all.len());
        let ((then, before), (now, after)) = (all[index - 1], all[index]);
        then + (now - then).mul_f64((ran - before) / (after - before))
    }

    /// How long it had run at a moment.
    fn ran(&self, moment: Instant) -> f64 {
        let all = self.0.lock().unwrap();
        let index = all.partition_point(|(it, _)| *it < moment);
        assert!(0 < index && index < all.len(), "{index} of {}", all.len());
        let ((then, before), (now, after)) = (all[index - 1], all[index]);
        let part = (moment - then).as_secs_f64() / (now - then).as_secs_f64();
        before + (after - before) * part
    }

    /// The part of these times in which it ran.
    fn share(&self, times: &[(Instant, Instant)]) -> f64 {
        let ran = times
            .iter()
            .map(|(from, to)| self.ran(*to) - self.ran(*from));
        let passed = times.iter().map(|(from, to)| (*to - *from).as_secs_f64());
        ran.sum::<f64>() / passed.sum::<f64>()
    }
}

/// Reads the kernel's counter of a thread until it is dropped.
struct Reader {
    counted: Counted,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(process: u32, thread: i64) -> Self {
        let (end, ended) = mpsc::channel();
        let counted = Counted::default();
        let told = counted.clone();
        let path = format!("/proc/{process}/task/{thread}/schedstat");
        let read = move || {
            let pause = Duration::from_millis(5);
            while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                let text = std::fs::read_to_string(&path).unwrap();
                let ran: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
                told.note(ran as f64 / 1e9);
            }
        };
        Self {
            counted,
            end: Some(end),
            thread: Some(std::thread::spawn(read)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // What went wrong there is told by the test.
            let _ = thread.join();
        }
    }
}

/// Whether the kernel lets it count; says so if not.
fn may_count(perf: &Path) -> bool {
    let mut probe = Command::new(perf);
    probe.args(["stat", "-e", "task-clock", "true"]);
    let may = probe.output().is_ok_and(|it| it.status.success());
    if !may {
        println!("skipped: live::shares-agree-with-perf: perf may not count here");
    }
    may
}

/// `perf stat` of a thread, which tells what it has run in each tenth of a second.
fn start_perf(perf: &Path, thread: i64) -> (Program, Counted) {
    let mut child = Command::new(perf)
        .args(["stat", "-x,", "-e", "task-clock", "-I", "100", "-t"])
        .arg(thread.to_string())
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let counted = Counted::default();
    let told = counted.clone();
    std::thread::spawn(move || {
        let mut ran = 0.0;
        for line in said.lines().map_while(Result::ok) {
            // The time, and milliseconds; or that it did not run.
            let mut fields = line.split(',');
            if let Some(milliseconds) = fields.nth(1) {
                ran += milliseconds.parse().unwrap_or(0.0) / 1e3;
                told.note(ran);
            }
        }
    });
    (Program(child), counted)
}

fn shares_agree(qemu_img: &Path, perf: Option<&Path>) -> Result<(), Failed> {
    let _processors = super::processors();
    let disks = Disks::start(["io0", "io0"]);
    let _load = disks.load(qemu_img, "e0", 4);
    let mut client = Qmp::open(disks.server.socket())?;
    let threads = client.execute("query-iothreads", json!({}))?;
    let thread = threads[0]["thread-id"].as_i64().unwrap();
    let reader = Reader::start(disks.server.process_id(), thread);
    let perf = perf.map(|it| start_perf(it, thread));
    let has_begun = |it: &Counted| it.0.lock().unwrap().len() > 1;
    eventually(|| has_begun(&reader.counted));
    if let Some((_, counted)) = &perf {
        eventually(|| has_begun(counted));
    }

    // Others on this machine may take the processors away between a look at the clock and one at the counter.
    let mut differing = Vec::new();
    for _ in 0..3 {
        let text = looks_at(&disks);
        // A moment later all have counted further.
        let last = Instant::now();
        let has_gone_on = |it: &Counted| it.0.lock().unwrap().last().is_some_and(|it| it.0 > last);
        eventually(|| has_gone_on(&reader.counted));
        if let Some((_, counted)) = &perf {
            eventually(|| has_gone_on(counted));
        }

        let (ours, bounds) = told_share(&text);
        let moment = |ran| reader.counted.moment(ran);
        let times: Vec<_> = bounds
            .into_iter()
            .map(|(from, to)| (moment(from), moment(to)))
            .collect();
        let all = [Some(&reader.counted), perf.as_ref().map(|(_, it)| it)];
        let theirs: Vec<f64> = all
            .into_iter()
            .flatten()
            .map(|it| it.share(&times))
            .collect();
        let agrees = |it: &f64| *it > 2.0 * AGREED && (ours - it).abs() < AGREED;
        differing.push(format!(
            "shares: {ours:.3}, and {theirs:.3?} of the kernel and perf"
        ));
        if theirs.iter().all(agrees) {
            println!("{}", differing[differing.len() - 1]);
            return Ok(());
        }
    }
    Err(differing.join("\n").into())
}

fn looks_at(disks: &Disks) -> String {
    let options = ["-b", "--json", "-n", "12", "-d", "0.5", "--deadline", "30"];
    text_of(&[&options[..], &[&address(&disks.server)]].concat())
}

/// The share that is told of the times between looks, and what the thread had run at the beginning and the end of each.
fn told_share(text: &str) -> (f64, Vec<(f64, f64)>) {
    // What it had run at each look, and the share since the look before.
    let rounds = text.lines().map(|line| {
        let round: Value = serde_json::from_str(line).unwrap();
        let guest = &round["guests"][0];
        let thread = &guest["threads"][0];
        let ran = thread["kernel"]["ran"].as_f64().unwrap();
        let share = thread["usage"]["cpu"].as_f64().unwrap();
        (guest["looks"].as_u64().unwrap(), ran, share)
    });
    let mut looks: Vec<_> = rounds.collect();
    looks.dedup_by_key(|it| it.0);
    assert!(looks.len() > 5, "{text}");
    let next = |it: &&[(u64, f64, f64)]| it[1].0 == it[0].0 + 1;
    let pairs: Vec<_> = looks.windows(2).filter(next).collect();
    let ran: f64 = pairs.iter().map(|it| it[1].1 - it[0].1).sum();
    // The time that lies between two looks, by what is said of it.
    let passed: f64 = pairs.iter().map(|it| (it[1].1 - it[0].1) / it[1].2).sum();
    let bounds = pairs.iter().map(|it| (it[0].1, it[1].1)).collect();
    (ran / passed, bounds)
}
