//! Measuring and printing.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The shortest of several runs, the one that other programs have disturbed least.
pub(crate) fn best_of(n_runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    (0..n_runs).map(|_| run()).min().unwrap_or_default()
}

/// CPU time that this thread spends on `code`; what others run meanwhile does not count.
pub(crate) fn cpu_time(code: impl FnOnce()) -> Duration {
    let start = thread_cpu_time();
    code();
    thread_cpu_time() - start
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time after the thread's start")
}

/// The CPUs that this thread may run on.
pub(crate) fn cpus() -> impl Iterator<Item = usize> {
    let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(move |cpu| allowed.is_set(*cpu))
}

/// Lets this thread, and those that it starts, run on one CPU only.
pub(crate) fn pin_self(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("a CPU that is allowed");
}

pub(crate) fn time(code: impl FnOnce()) -> Duration {
    let start = Instant::now();
    code();
    start.elapsed()
}

/// Prints a figure with its limit. Returns whether the limit is kept.
pub(crate) fn at_most(name: &str, what: &str, value: f64, limit: f64, unit: &str) -> bool {
    report(name, what, value, "at most", limit, unit, value <= limit)
}

/// As [`at_most`], for a figure that should be large.
pub(crate) fn at_least(name: &str, what: &str, value: f64, limit: f64, unit: &str) -> bool {
    report(name, what, value, "at least", limit, unit, value >= limit)
}

fn report(
    name: &str,
    what: &str,
    value: f64,
    relation: &str,
    limit: f64,
    unit: &str,
    reached: bool,
) -> bool {
    let verdict = if reached { "ok" } else { "MISSED" };
    println!("{name:<24} {what:<52} {value:>9.2}{unit} ({relation} {limit}{unit}) {verdict}");
    reached
}

/// Prints what a figure was made of.
pub(crate) fn note(name: &str, text: &str) {
    println!("{name:<24}   {text}");
}
