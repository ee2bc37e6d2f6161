//! Steps of a check: how long each took, what was wrong, what was skipped.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::output::Totals;

/// How many of the slowest are shown.
const N_SLOWEST: usize = 10;

/// All that was done so far.
pub(super) struct Steps {
    start: Instant,
    durations: Vec<(String, Duration)>,
    problems: Vec<String>,
    skipped: Vec<String>,
    /// Whether something is absent without which nothing runs.
    lacks_all: bool,
    totals: Totals,
    /// What passed that no test program has counted.
    n_compared: usize,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            durations: Vec::new(),
            problems: Vec::new(),
            skipped: Vec::new(),
            lacks_all: false,
            totals: Totals::default(),
            n_compared: 0,
        }
    }

    fn timed(&mut self, title: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("== {title}");
        let start = Instant::now();
        let result = run();
        self.durations.push((title.to_owned(), start.elapsed()));
        result
    }

    /// Does something that has to succeed. Says whether it has.
    pub(super) fn step(&mut self, title: &str, run: impl FnOnce() -> Result<()>) -> bool {
        let result = self.timed(title, run);
        self.judge(title, &result);
        result.is_ok()
    }

    fn judge(&mut self, title: &str, result: &Result<()>) {
        if let Err(error) = result {
            eprintln!("xtask: {title}: {error:#}");
            self.problems.push(title.to_owned());
        }
    }

    /// Gets something ready without which tests skip. Says whether it has succeeded.
    pub(super) fn attempt(&mut self, title: &str, run: impl FnOnce() -> Result<()>) -> bool {
        let result = self.timed(title, run);
        if let Err(error) = &result {
            self.lack(&format!("{title}: {error:#}"));
        }
        result.is_ok()
    }

    /// Notes a check that lacks a tool.
    pub(super) fn lack(&mut self, what: &str) {
        println!("skipped: {what}");
        self.skipped.push(what.to_owned());
    }

    /// Notes that something is absent without which nothing runs.
    pub(super) fn lack_all(&mut self, what: &str) {
        self.lack(what);
        self.lacks_all = true;
    }

    /// Takes what test programs have counted.
    pub(super) fn take(&mut self, totals: Totals) {
        let programs = totals.durations().iter();
        self.durations.extend(programs.cloned());
        self.skipped.extend(totals.skipped().iter().cloned());
        self.totals = totals;
    }

    /// Notes that `n` outcomes were compared, and are as they should be.
    pub(super) fn compared(&mut self, n: usize) {
        self.n_compared += n;
    }

    /// What was skipped, for whatever reason, is wrong.
    pub(super) fn refuse_skips(&mut self) {
        if !self.skipped.is_empty() {
            self.problems
                .push(format!("{} skipped", self.skipped.len()));
        }
    }

    /// Prints the end of it. Says whether all is well.
    pub(super) fn finish(mut self) -> bool {
        println!("== done in {} s", self.start.elapsed().as_secs());
        self.durations.sort_by_key(|(_, duration)| *duration);
        println!("slowest:");
        for (title, duration) in self.durations.iter().rev().take(N_SLOWEST) {
            println!("  {:7.1} s  {title}", duration.as_secs_f64());
        }
        if !self.skipped.is_empty() {
            println!("skipped:");
            for what in &self.skipped {
                println!("  {what}");
            }
        }
        let (passed, failed) = self.totals.counts();
        let passed = passed + self.n_compared;
        let n_skipped = self.skipped.len();
        if !self.problems.is_empty() {
            println!("failed: {}", self.problems.join(", "));
        }
        println!("{passed} passed, {failed} failed, {n_skipped} skipped");
        self.problems.is_empty() && (passed > 0 || self.lacks_all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Totals;
    use super::Steps;

    #[test]
    fn a_skip_is_refused_whatever_its_reason() {
        for line in [
            "skipped: a: QEMU is not here",
            "skipped: no recordings in ../shared",
            "skipped: a name server that does not answer: mounts cannot be private",
        ] {
            let mut totals = Totals::default();
            for line in [line, "test result: ok. 2 passed; 0 failed; 0 ignored"] {
                totals.look(line);
            }
            let mut steps = Steps::new();
            steps.take(totals);
            assert!(steps.problems.is_empty());
            steps.refuse_skips();
            assert_eq!(steps.problems, ["1 skipped"], "{line}");
        }
    }
}
