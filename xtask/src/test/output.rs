//! What test programs print.

use std::time::Duration;

use super::programs::Done;

/// What was read so far.
#[derive(Default)]
pub(super) struct Totals {
    passed: usize,
    failed: usize,
    /// Tests that the test program did not run.
    ignored: usize,
    /// Tests that lack a tool: each was ignored, or ended at once and counts as passed, as there is no other way to end
    /// in Rust's own harness.
    skipped: Vec<String>,
    durations: Vec<(String, Duration)>,
    panics: Vec<String>,
    /// Tests whose own panic is what they are about.
    panicking: Vec<String>,
}

impl Totals {
    /// Takes what a test program has printed.
    pub(super) fn take(&mut self, done: &Done) {
        self.durations.push((name_of(&done.title), done.duration));
        for line in done.text.lines() {
            self.look(line);
        }
    }

    pub(super) fn look(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("skipped: ") {
            self.skipped.push(what.to_owned());
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.take_result(counts);
        } else if ::tests::panics::is_told_by(line) {
            self.panics.push(line.to_owned());
        } else if let Some((name, _)) = line.split_once(" - should panic ... ") {
            let name = name.strip_prefix("test ").unwrap_or(name);
            self.panicking.push(format!("thread '{name}' "));
        }
    }

    fn take_result(&mut self, counts: &str) {
        let words: Vec<&str> = counts
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<usize>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    /// How many passed, without those that only said what they lack, and how many failed.
    pub(super) fn counts(&self) -> (usize, usize) {
        let n_only_said = self.skipped.len().saturating_sub(self.ignored);
        (self.passed.saturating_sub(n_only_said), self.failed)
    }

    pub(super) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// How long each program has run.
    pub(super) fn durations(&self) -> &[(String, Duration)] {
        &self.durations
    }

    /// The lines about panics that no test is about. If a test failed, there is one of its own.
    pub(super) fn panics(&self) -> Vec<&str> {
        let is_wanted = |line: &str| self.panicking.iter().any(|it| line.starts_with(it));
        let panics = self.panics.iter().map(String::as_str);
        panics.filter(|line| !is_wanted(line)).collect()
    }
}

/// The program in `tests/cases/main.rs (target/debug/deps/cases-de7de77064d512ce)`, or of unit tests; else what it says.
fn name_of(program: &str) -> String {
    let Some((source, path)) = program.split_once(" (") else {
        return program.to_owned();
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    if source.starts_with("unittests ") {
        format!("unit tests of {name}")
    } else {
        format!("tests '{name}'")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Done, Totals};

    #[test]
    fn counts_times_and_panics_are_read() {
        let lines = [
            "skipped: a: QEMU is not here",
            "skipped: live::b: npm is not here",
            "test c - should panic ... ok",
            "thread 'c' (12) panicked at src/lib.rs:1:1:",
            "thread 'IO io0' (13) panicked at src/lib.rs:2:1:",
            "test result: ok. 7 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.50s",
        ];
        let mut totals = Totals::default();
        totals.take(&Done {
            title: "tests/cases/main.rs (target/debug/deps/cases-de7de77064d512ce)".to_owned(),
            text: lines.join("\n"),
            has_succeeded: false,
            duration: Duration::from_millis(1500),
        });
        assert_eq!(totals.counts(), (6, 2));
        assert_eq!(totals.skipped().len(), 2);
        let durations = [("tests 'cases'".to_owned(), Duration::from_millis(1500))];
        assert_eq!(totals.durations(), durations);
        assert_eq!(
            totals.panics(),
            ["thread 'IO io0' (13) panicked at src/lib.rs:2:1:"]
        );
    }
}
