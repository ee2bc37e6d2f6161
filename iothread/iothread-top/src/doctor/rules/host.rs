//! What holds for all guests of a host together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{CpuSet, Host};
use super::{BUSY, Code, Finding, percent};
use crate::facts::Thread;
use crate::sample::Look;
use crate::view::counted;

/// So many threads for each processor are many, if they come from several guests.
const CROWD: usize = 4;

/// Threads that may use the same processors, which are not all that there are.
struct Crowd<'l> {
    affinity: &'l str,
    n_cpus: usize,
    threads: Vec<(&'l Look, &'l Thread)>,
}

pub(in crate::doctor) fn of_host(looks: &[Arc<Look>], host: &Host) -> Vec<Finding> {
    if host.online.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for crowd in crowds(looks, host) {
        match crowded(&crowd) {
            Some(finding) => findings.push(finding),
            None => findings.extend(fleet(&crowd)),
        }
    }
    findings
}

fn crowds<'l>(looks: &'l [Arc<Look>], host: &Host) -> Vec<Crowd<'l>> {
    let mut crowds: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for look in looks {
        for thread in look.fresh().iter().flat_map(|it| &it.threads) {
            if let Some(kernel) = &thread.kernel {
                let crowd = crowds.entry(kernel.affinity.as_str()).or_default();
                crowd.push((&**look, thread));
            }
        }
    }
    let crowd = |(affinity, threads): (&'l str, _)| {
        let cpus: CpuSet = affinity.parse().ok()?;
        cpus.lacks_some_of(&host.online).then_some(Crowd {
            affinity,
            n_cpus: cpus.len(),
            threads,
        })
    };
    crowds.into_iter().filter_map(crowd).collect()
}

fn named(threads: &[&(&Look, &Thread)]) -> Vec<String> {
    let name = |(look, thread): &&(&Look, &Thread)| format!("{}/{}", look.title(), thread.id);
    threads.iter().map(name).collect()
}

fn crowded(crowd: &Crowd<'_>) -> Option<Finding> {
    let is_busy = |it: &&(&Look, &Thread)| it.1.load().is_some_and(|it| it >= BUSY);
    let busy: Vec<_> = crowd.threads.iter().filter(is_busy).collect();
    if busy.len() <= crowd.n_cpus {
        return None;
    }
    let delay: f64 = busy
        .iter()
        .filter_map(|(_, thread)| thread.usage)
        .map(|it| it.delay)
        .sum();
    let names = named(&busy);
    let evidence = format!(
        "{} may use CPU {}: {}; they waited for it for {} of the time, all together",
        counted(busy.len(), "busy IOThread"),
        crowd.affinity,
        names.join(", "),
        percent(delay)
    );
    let finding = Finding::new(Code::CrowdedCpus, None, names).because(evidence);
    Some(finding.remedy("let them use more processors, as with taskset or virsh iothreadpin"))
}

fn fleet(crowd: &Crowd<'_>) -> Option<Finding> {
    let guests: BTreeSet<String> = crowd.threads.iter().map(|(look, _)| look.title()).collect();
    let n_threads = crowd.threads.len();
    if guests.len() < 2 || crowd.n_cpus == 0 || n_threads < CROWD * crowd.n_cpus {
        return None;
    }
    let guests: Vec<String> = guests.into_iter().collect();
    let evidence = format!(
        "{} of {} may use CPU {} only",
        counted(n_threads, "IOThread"),
        counted(guests.len(), "guest"),
        crowd.affinity
    );
    let finding = Finding::new(Code::PinnedFleet, None, guests).because(evidence);
    Some(finding.remedy("pin each guest to processors of its own, or none"))
}
