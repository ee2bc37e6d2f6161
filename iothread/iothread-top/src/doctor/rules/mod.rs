//! The rules. Threads without work may be seen by several of them: the first that says why is told, and no other.

mod host;
mod load;
mod place;
#[cfg(test)]
mod tests;

pub(super) use self::host::of_host;

use super::{Code, Finding};
use crate::facts::{Facts, Origin, Standing, Thread};
use crate::sample::Look;

/// What holds for a guest by itself.
pub(super) fn of_guest(look: &Look, facts: &Facts) -> Vec<Finding> {
    let guest = Guest {
        look,
        facts,
        threads: facts
            .threads
            .iter()
            .filter(|it| it.standing == Standing::Listed)
            .collect(),
    };
    let mut findings = load::saturated(&guest);
    findings.extend(place::unused_mapping(&guest));
    findings.extend(place::in_main_loop(&guest));
    if findings.is_empty() {
        findings.extend(place::too_many_threads(&guest));
    }
    if findings.is_empty() {
        findings.extend(place::idle(&guest));
    }
    findings.extend(load::polling(&guest));
    findings.extend(place::deleted(&guest));
    findings.extend(place::ignored(&guest));
    findings
}

/// What a rule looks at.
struct Guest<'f> {
    look: &'f Look,
    facts: &'f Facts,
    /// Those that the server lists.
    threads: Vec<&'f Thread>,
}

impl<'f> Guest<'f> {
    fn finding(&self, code: Code, subjects: Vec<String>) -> Finding {
        Finding::new(code, Some(self.look), subjects)
    }

    /// Whether all that can hold a thread is known.
    fn tells_holders(&self) -> bool {
        let told = |it: &&Thread| it.from == Some(Origin::Told);
        self.facts.exports.is_empty() || self.threads.iter().copied().any(|it| told(&it))
    }

    /// Threads without a holder; none where that cannot be known.
    fn idle(&self) -> Vec<&'f Thread> {
        if !self.tells_holders() {
            return Vec::new();
        }
        let is_idle = |it: &&&Thread| it.holders.as_ref().is_some_and(Vec::is_empty);
        self.threads.iter().filter(is_idle).copied().collect()
    }
}

fn ids(threads: &[&Thread]) -> Vec<String> {
    threads.iter().map(|it| it.id.clone()).collect()
}

/// From here on a thread is busy, and at its limit.
const BUSY: f64 = 0.2;
const SATURATED: f64 = 0.8;

/// So many times as long as it works is far longer.
const FAR: f64 = 4.0;

fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}
