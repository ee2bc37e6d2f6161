//! `cargo xtask bench metrics`: what it costs a request of `iothreadd` that metrics are served and scraped each second.
//!
//! The baseline is the same program without `--metrics`. Runs take turns, and each figure is a median of the processor time of the
//! whole server for one request. The noise is what half of the baseline's runs differ by.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tests::{Qmp, Server};

use super::measure::median;
use super::nbd::{self, Figure};
use super::top::scrape;
use crate::process::IOTHREADD;

/// The most that it may cost beyond noise, as a part of a request.
const LIMIT: f64 = 0.03;

/// What is asked for.
#[derive(Clone, Copy)]
enum Requests {
    /// Over NBD, as [`nbd`] has them.
    Nbd(&'static Figure),
    /// So many commands over QMP, one after the other.
    Commands(u32),
}

impl Requests {
    fn name(self) -> &'static str {
        match self {
            Self::Nbd(figure) => figure.name,
            Self::Commands(_) => "commands",
        }
    }
}

/// Whether there are metrics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metrics {
    None,
    Scraped,
}

pub(crate) fn run(rounds: usize) -> Result<()> {
    let iothreadd = IOTHREADD.build_release()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let image = nbd::make_image(folder.path())?;
    println!("microseconds of a processor for a request, median of {rounds} runs");
    let mut too_much = Vec::new();
    let all = nbd::FIGURES.iter().map(Requests::Nbd);
    for requests in all.chain([Requests::Commands(60_000)]) {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(1) {
            let run = |metrics| measure(&iothreadd, &image, requests, metrics);
            without.push(run(Metrics::None)?);
            with.push(run(Metrics::Scraped)?);
            without.push(run(Metrics::None)?);
        }
        let spread = half_of_them(&mut without);
        let [without, with] = [without, with].map(median);
        let (cost, noise) = (with / without - 1.0, spread / without);
        println!(
            "{:18} without {without:6.2}   with {with:6.2}   cost {:+5.1} %, noise {:4.1} %",
            requests.name(),
            cost * 100.0,
            noise * 100.0
        );
        if cost > LIMIT + noise {
            too_much.push(requests.name());
        }
    }
    if too_much.is_empty() {
        return Ok(());
    }
    bail!("metrics cost too much: {}", too_much.join("; "))
}

/// The distance within which half of the figures are, those in the middle.
fn half_of_them(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let quarter = figures.len() / 4;
    figures[figures.len() - 1 - quarter] - figures[quarter]
}

/// The microseconds of one request.
fn measure(program: &Path, image: &Path, requests: Requests, metrics: Metrics) -> Result<f64> {
    // A port that is free now.
    let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let at = at.as_str();
    let options: &[&str] = match metrics {
        Metrics::None => &[],
        Metrics::Scraped => &["--metrics", at],
    };
    let server = nbd::start_iothreadd(program, image, options)?;
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let scraper = scope.spawn(move || -> Result<()> {
            let pause = Duration::from_secs(1);
            while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                if metrics == Metrics::Scraped {
                    scrape(at)?;
                }
            }
            Ok(())
        });
        let used = used_for_one(&server, requests);
        drop(end);
        let scraped = scraper.join();
        scraped.map_err(|_| anyhow::anyhow!("the scraper panicked"))??;
        used
    })
}

fn used_for_one(server: &Server, requests: Requests) -> Result<f64> {
    let mut client = Qmp::open(server.socket())?;
    let before = processor_time(server)?;
    let count = match requests {
        Requests::Nbd(figure) => {
            nbd::measure(server, figure)?;
            figure.n_requests
        }
        Requests::Commands(count) => {
            for _ in 0..count {
                client.execute("query-version", json!({}))?;
            }
            count
        }
    };
    let used = processor_time(server)? - before;
    Ok(used.as_secs_f64() * 1e6 / f64::from(count))
}

/// What the threads of a server have used, those that have ended not among them: exactly, where the sum of a process counts ticks.
fn processor_time(server: &Server) -> Result<Duration> {
    let mut sum = 0;
    for entry in std::fs::read_dir(format!("/proc/{}/task", server.process_id()))? {
        // A worker that is not needed any more may have ended.
        let path: PathBuf = entry?.path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let ran = text
            .split_whitespace()
            .next()
            .and_then(|it| it.parse().ok());
        sum += ran.unwrap_or(0_u64);
    }
    Ok(Duration::from_nanos(sum))
}
