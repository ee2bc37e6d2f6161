//! What libvirt tells of a domain.

use std::time::{Duration, Instant};

use super::domain::iothread;
use super::process::{find, is_it};
use super::virsh::quoted;
use super::{Domain, Virsh, VirshError};
use crate::facts::{Facts, Thread};
use crate::source::kernel::Process;

/// How long the description of a domain is good for, and that it has no process here.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// What is known of a domain from an earlier look.
#[derive(Debug, Default)]
pub(crate) struct Known {
    described: Option<(Instant, Domain)>,
    process: Option<u32>,
}

/// What came of a look.
pub(crate) enum Told {
    Facts(Box<Facts>),
    /// The process is stopped: libvirt would wait for it for ever.
    Stopped,
    /// libvirt does something else with the domain, or waits for it.
    Occupied,
}

/// Asks libvirt, in ways that change nothing.
///
/// # Errors
///
/// See [`VirshError`].
pub(crate) async fn look(
    virsh: &Virsh,
    name: &str,
    known: &mut Known,
    patience: Duration,
) -> Result<Told, VirshError> {
    let now = Instant::now();
    let is_old = |(made, _): &(Instant, Domain)| now.duration_since(*made) >= PLAN_TIME;
    if known.described.as_ref().is_none_or(is_old) {
        let answer = virsh
            .ask(&format!("dumpxml {}", quoted(name)), patience)
            .await?;
        let domain = Domain::parse(&answer).map_err(VirshError::Refused)?;
        let still = known.process.filter(|it| is_it(*it, &domain));
        known.process = still.or_else(|| find(&domain));
        known.described = Some((now, domain));
    }
    if known.process.is_some_and(|it| Process(it).is_stopped()) {
        return Ok(Told::Stopped);
    }
    let command = format!("domstats --nowait --state --iothread {}", quoted(name));
    let answer = virsh.ask(&command, patience).await?;
    let stats = Stats(&answer);
    let (_, domain) = known.described.as_ref().expect("it was just read");
    if !stats.is_running() {
        known.described = None;
        return Err(VirshError::Refused(format!("domain '{name}' does not run")));
    }
    if stats.get("iothread.count").is_none() && !domain.iothreads.is_empty() {
        return Ok(Told::Occupied);
    }
    let threads = domain.iothreads.iter().map(|id| {
        let number = id.strip_prefix(&iothread("")).unwrap_or_default();
        let limit = stats.get(&format!("iothread.{number}.poll-max-ns"));
        Thread {
            id: id.clone(),
            poll_max_ns: limit.and_then(|it| it.parse().ok()),
            ..Thread::default()
        }
    });
    Ok(Told::Facts(Box::new(Facts {
        name: Some(name.to_owned()),
        server: "libvirt".to_owned(),
        process: known.process,
        threads: threads.collect(),
        devices: domain.devices.clone(),
        ..Facts::default()
    })))
}

/// Lines `  NAME=VALUE`.
struct Stats<'a>(&'a str);

impl Stats<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|it| it.trim().split_once('='));
        lines.find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    /// Whether there is a process, be the guest stopped or not.
    fn is_running(&self) -> bool {
        // VIR_DOMAIN_SHUTOFF and VIR_DOMAIN_CRASHED.
        !matches!(self.get("state.state"), Some("5" | "6") | None)
    }
}

#[cfg(test)]
mod tests {
    use super::Stats;

    #[test]
    fn stats_are_read() {
        let stats = Stats(
            "virsh # domstats\nDomain: 'vm'\n  state.state=3\n  iothread.count=1\n  iothread.1.poll-max-ns=32768\n\n",
        );
        assert_eq!(stats.get("iothread.1.poll-max-ns"), Some("32768"));
        assert!(stats.is_running());
        assert!(!Stats("  state.state=5\n").is_running());
        assert!(!Stats("").is_running());
    }
}
