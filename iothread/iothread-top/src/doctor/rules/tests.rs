//! Rules that depend on figures.

use std::sync::Arc;

use super::super::{Code, Finding, Host, judge};
use crate::facts::{Facts, Holder, Kernel, LoopUsage, Thread, Usage};
use crate::sample::{Look, State};

/// A thread that ran and waited for so long, with so many holders.
fn thread(id: &str, affinity: &str, (cpu, delay): (f64, f64), n_holders: usize) -> Thread {
    let holder = |number: usize| Holder {
        kind: "qom-object".to_owned(),
        name: format!("disk{number}"),
        ..Holder::default()
    };
    Thread {
        id: id.to_owned(),
        holders: Some((0..n_holders).map(holder).collect()),
        kernel: Some(Kernel {
            affinity: affinity.to_owned(),
            ..Kernel::default()
        }),
        usage: Some(Usage {
            cpu,
            delay,
            ..Usage::default()
        }),
        ..Thread::default()
    }
}

fn guest(name: &str, threads: Vec<Thread>) -> Arc<Look> {
    let target = crate::target::Target::At(format!("unix:/run/{name}").parse().unwrap());
    Arc::new(Look {
        state: State::Alive,
        facts: Some(Arc::new(Facts {
            name: Some(name.to_owned()),
            threads,
            ..Facts::default()
        })),
        ..Look::new(target)
    })
}

fn found(guests: &[Arc<Look>]) -> Vec<Finding> {
    let host = Host {
        online: "0-7".parse().unwrap(),
    };
    judge(guests, &host)
}

fn codes(guests: &[Arc<Look>]) -> Vec<Code> {
    found(guests).iter().map(|it| it.code).collect()
}

/// Waiting for a processor counts: the thread would have run.
#[test]
fn a_thread_at_its_limit() {
    let full = |n_holders| thread("io0", "0-7", (0.5, 0.4), n_holders);
    let idle = thread("io1", "0-7", (0.1, 0.0), 1);
    let findings = found(&[guest("vm", vec![full(3), idle.clone()])]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, Code::SaturatedThread);
    assert_eq!(
        findings[0].evidence,
        "io0 was busy for 90% of the time, io1 for 10%"
    );
    assert_eq!(
        findings[0].remedy,
        "move one of 3 holders, such as disk0, to io1: io0 would be busy for 60% and io1 for 40%"
    );
    let findings = found(&[guest("vm", vec![full(1), idle])]);
    assert_eq!(
        findings[0].remedy,
        "spread the queues of disk0 over io0 and io1 with iothread-vq-mapping: \
         io0 would be busy for 45% and io1 for 55%"
    );
    // Nobody could take anything over.
    let busy = thread("io1", "0-7", (0.3, 0.0), 1);
    assert_eq!(codes(&[guest("vm", vec![full(3), busy])]), []);
    let less = thread("io0", "0-7", (0.7, 0.0), 3);
    let idle = thread("io1", "0-7", (0.0, 0.0), 1);
    assert_eq!(codes(&[guest("vm", vec![less, idle])]), []);
}

#[test]
fn busy_threads_on_few_processors() {
    let busy = |id: &str, affinity: &str| thread(id, affinity, (0.3, 0.1), 1);
    let crowded = |affinity: &str| {
        let threads = vec![busy("io0", affinity), busy("io1", affinity)];
        codes(&[guest("vm", threads)])
    };
    assert_eq!(crowded("3"), [Code::CrowdedCpus]);
    assert_eq!(crowded("3-4"), []);
    assert_eq!(crowded("0-7"), []);
    let one = |name: &str, id: &str| guest(name, vec![busy(id, "3")]);
    let findings = found(&[one("a", "io0"), one("b", "io0")]);
    assert_eq!(findings[0].subjects, ["a/io0", "b/io0"]);
    assert_eq!(findings[0].guest, None);
}

#[test]
fn fleets_on_few_processors() {
    let pinned = |name: &str, affinity: &str| {
        let threads = (0..2).map(|it| thread(&format!("io{it}"), affinity, (0.0, 0.0), 1));
        guest(name, threads.collect())
    };
    assert_eq!(
        codes(&[pinned("a", "0"), pinned("b", "0")]),
        [Code::PinnedFleet]
    );
    assert_eq!(codes(&[pinned("a", "0"), pinned("b", "1")]), []);
    assert_eq!(codes(&[pinned("a", "0-1"), pinned("b", "0-1")]), []);
    assert_eq!(codes(&[pinned("a", "0-7"), pinned("b", "0-7")]), []);
}

/// Where the server tells it, polling is a matter of its own, and no work.
#[test]
fn a_thread_that_polls() {
    let polls = |polling: f64, dispatching: f64| {
        let mut thread = thread("io0", "0-7", (polling + dispatching, 0.0), 1);
        thread.loop_usage = Some(LoopUsage {
            dispatching,
            polling,
            blocked: 1.0 - polling - dispatching,
            ..LoopUsage::default()
        });
        thread
    };
    let idle = || thread("io1", "0-7", (0.0, 0.0), 1);
    let of = |thread| codes(&[guest("vm", vec![thread, idle()])]);
    assert_eq!(of(polls(0.9, 0.1)), [Code::PollingThread]);
    assert_eq!(of(polls(0.2, 0.05)), [Code::PollingThread]);
    assert_eq!(of(polls(0.19, 0.0)), []);
    assert_eq!(of(polls(0.5, 0.2)), []);
    assert_eq!(of(polls(0.05, 0.9)), [Code::SaturatedThread]);
    let findings = found(&[guest("vm", vec![polls(0.6, 0.1)])]);
    assert_eq!(
        findings[0].evidence,
        "io0 polled for 60% of the time and worked for 10%"
    );
}
