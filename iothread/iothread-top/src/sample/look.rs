//! One look at one server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::open::{Trouble, open};
use super::{Look, Settings, State};
use crate::facts::Facts;
use crate::source::devices::{self, Plan};
use crate::source::kernel::Process;
use crate::source::monitor::Monitor;
use crate::source::peer;
use crate::target::Target;

/// How long the plan of devices is good for where no device has come or gone: a medium may have changed.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// Whoever looks at a server again and again.
pub(crate) struct Looker {
    settings: Settings,
    monitor: Option<Monitor>,
    plan: Option<(Instant, Plan)>,
    memory: Memory,
    last: Look,
}

impl Looker {
    pub(crate) fn new(target: Target, settings: Settings) -> Self {
        Self {
            settings,
            monitor: None,
            plan: None,
            memory: Memory::default(),
            last: Look::new(target),
        }
    }

    /// Looks once. Connecting and each answer have the deadline, and all of it a quarter more, so that what comes in drops
    /// does not last.
    pub(crate) async fn look(&mut self) -> Look {
        let begin = Instant::now();
        let deadline = self.settings.deadline;
        let asked = tokio::time::timeout(deadline + deadline / 4, self.ask(begin)).await;
        let asked = asked.unwrap_or_else(|_| {
            let reason = format!("no answer in {deadline:?}");
            Err(Trouble::new(State::Silent, reason))
        });
        let now = Instant::now();
        let last = &self.last;
        let mut look = Look {
            n_looks: last.n_looks + 1,
            gone: self.memory.gone(),
            ..last.clone()
        };
        match asked {
            Ok(mut facts) => {
                facts.took = now.duration_since(begin);
                (look.state, look.reason) = match facts.took > self.settings.slow() {
                    true => (State::Slow, format!("it took {:.1?}", facts.took)),
                    false => (State::Alive, String::new()),
                };
                look.answered = Some(now);
                look.facts = Some(Arc::new(facts));
            }
            Err(trouble) => {
                self.monitor = None;
                (look.state, look.reason) = (trouble.state, trouble.reason);
            }
        }
        if look.state != last.state {
            look.since = now;
        }
        self.last = look.clone();
        look
    }

    async fn ask(&mut self, now: Instant) -> Result<Facts, Trouble> {
        let target = &self.last.target;
        let keeps = self.settings.hold || target.is_one_connection();
        let kept = self.monitor.take().filter(|it| !it.is_closed());
        let monitor = match kept {
            Some(monitor) => monitor,
            None => open(target, &self.settings).await?,
        };
        let facts = self.question(&monitor, now).await?;
        if keeps {
            self.monitor = Some(monitor);
        }
        Ok(facts)
    }

    async fn question(&mut self, monitor: &Monitor, now: Instant) -> Result<Facts, Trouble> {
        let process = monitor.process();
        let is_same = self.memory.of(process);
        let mut facts = Facts {
            server: monitor.version(),
            process,
            ..Facts::default()
        };
        let listed = peer::listed(monitor).await?;
        if listed.is_none() {
            facts
                .notes
                .push("the server has no query-iothreads".to_owned());
        }
        facts.threads = listed.unwrap_or_default();
        let tells = facts.threads.iter().any(|it| it.holders.is_some());
        if !tells {
            // QEMU lists them as they are in a hash table; by their numbers they are in the order of creation.
            facts.threads.sort_by_key(|it| it.thread_id);
        }
        let names = devices::names(monitor).await?;
        let is_good = |(made, plan): &(Instant, Plan)| {
            is_same && now.duration_since(*made) < PLAN_TIME && plan.names == names
        };
        if !self.plan.as_ref().is_some_and(is_good) {
            self.plan = Some((now, devices::walk(monitor, names).await?));
        }
        let (_, plan) = self.plan.as_ref().expect("it was just made");
        facts.name.clone_from(&plan.name);
        facts.devices.clone_from(&plan.devices);
        facts.exports.clone_from(&plan.exports);
        facts.notes.extend_from_slice(&plan.notes);
        devices::place(&mut facts.threads, &facts.devices);
        if !tells && !facts.exports.is_empty() {
            let n_exports = facts.exports.len();
            facts.notes.push(format!(
                "the server does not tell the IOThreads of its exports, which are {n_exports}"
            ));
        }
        if plan.tells_internal {
            let internal = peer::internal(monitor).await?;
            facts.threads.extend(internal.into_iter().flatten());
        }
        if let Some(process) = process.map(Process) {
            let known = &self.memory.known;
            let seen = process.look(&mut facts.threads, known, &plan.vcpus);
            facts.n_unnamed = seen.n_unnamed;
            if !seen.is_here && !facts.threads.is_empty() {
                facts.process = None;
                let note = "its threads are of another namespace of processes, or not to be seen";
                facts.notes.push(note.to_owned());
            }
        }
        self.memory.compare(&mut facts, Instant::now());
        Ok(facts)
    }
}
