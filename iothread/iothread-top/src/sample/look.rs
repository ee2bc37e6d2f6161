//! One look at one server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qapi_runtime::address::Address;
use qapi_runtime::client::Events;

use super::memory::Memory;
use super::open::{STOPPED, Trouble, is_one_connection, open};
use super::{Look, Settings, State};
use crate::facts::{Facts, Origin};
use crate::source::devices::{self, Plan};
use crate::source::history::{self, History};
use crate::source::kernel::Process;
use crate::source::libvirt::{self, Told, Virsh};
use crate::source::loops;
use crate::source::monitor::{AskError, Monitor};
use crate::source::peer;
use crate::target::Target;

/// How long the plan of devices is good for where no device has come or gone: a medium may have changed.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// What a server tells beside what all do. All of it is asked for as long as nothing is known.
struct Tells {
    /// The IOThreads that it keeps for itself.
    internal: bool,
    /// What its event loops do.
    loops: bool,
    /// What has changed among holders.
    history: bool,
}

impl Default for Tells {
    fn default() -> Self {
        Self {
            internal: true,
            loops: true,
            history: true,
        }
    }
}

/// What looks at a server again and again.
pub(crate) struct Looker {
    settings: Settings,
    monitor: Option<Monitor>,
    /// What a monitor that is kept tells without being asked.
    events: Option<Events>,
    plan: Option<(Instant, Plan)>,
    tells: Tells,
    virsh: Arc<Virsh>,
    domain: libvirt::Known,
    memory: Memory,
    last: Look,
}

impl Looker {
    pub(crate) fn new(target: Target, settings: Settings, virsh: Arc<Virsh>) -> Self {
        Self {
            settings,
            virsh,
            domain: libvirt::Known::default(),
            monitor: None,
            events: None,
            plan: None,
            tells: Tells::default(),
            memory: Memory::default(),
            last: Look::new(target),
        }
    }

    /// Looks once. Connecting has the deadline, and what is asked then has its own: a look that has waited for its turn is not cut short
    /// by that.
    pub(crate) async fn look(&mut self) -> Look {
        let begin = Instant::now();
        let asked = self.ask(begin).await;
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
                self.events = None;
                if trouble.process.is_some() {
                    self.memory.of(trouble.process);
                }
                let is_stopped = || {
                    self.memory
                        .process
                        .is_some_and(|it| Process(it).is_stopped())
                };
                // The client that it serves has no answer, either.
                let is_mute = matches!(trouble.state, State::Silent | State::Busy);
                (look.state, look.reason) = match is_mute && is_stopped() {
                    true => (State::Silent, STOPPED.to_owned()),
                    false => (trouble.state, trouble.reason),
                };
            }
        }
        if look.state != last.state {
            look.since = now;
        }
        self.last = look.clone();
        look
    }

    async fn ask(&mut self, now: Instant) -> Result<Facts, Trouble> {
        match self.last.target.clone() {
            Target::At(address) => self.ask_at(&address, now).await,
            Target::Domain(name) => {
                let deadline = self.settings.deadline;
                within(deadline, self.ask_libvirt(&name, now)).await
            }
        }
    }

    async fn ask_at(&mut self, address: &Address, now: Instant) -> Result<Facts, Trouble> {
        let kept = self.monitor.take().filter(|it| !it.is_closed());
        let monitor = match kept {
            Some(monitor) => monitor,
            None => {
                self.events = None;
                open(address, &self.settings).await?
            }
        };
        let deadline = self.settings.deadline;
        let facts = within(deadline, self.question(&monitor, now)).await?;
        if self.settings.hold || is_one_connection(address) {
            let listen = || monitor.listen(history::EVENT);
            self.events = self.events.take().or_else(listen);
            self.monitor = Some(monitor);
        }
        Ok(facts)
    }

    /// Waits until the server says that holders have changed. It does so where it was told to, and the connection is kept.
    pub(crate) async fn changed(&mut self) {
        let told = match &mut self.events {
            Some(events) => events.next().await.is_ok(),
            None => false,
        };
        if !told {
            // The next look says why.
            std::future::pending::<()>().await;
        }
    }

    async fn ask_libvirt(&mut self, name: &str, now: Instant) -> Result<Facts, Trouble> {
        let patience = self.settings.deadline;
        let told = libvirt::look(&self.virsh, name, &mut self.domain, patience).await?;
        let mut facts = match told {
            Told::Facts(facts) => *facts,
            Told::Stopped => return Err(Trouble::new(State::Silent, STOPPED)),
            Told::Occupied => {
                let reason = "libvirt does something else with it, or waits for it";
                return Err(Trouble::new(State::Busy, reason));
            }
        };
        if self.virsh.uses_monitor {
            let monitor = Monitor::OfDomain {
                virsh: Arc::clone(&self.virsh),
                domain: name.to_owned(),
                process: facts.process,
                patience,
            };
            return self.question(&monitor, now).await;
        }
        self.memory.of(facts.process);
        devices::place(&mut facts.threads, &facts.devices, Origin::Libvirt);
        self.measure(&mut facts, &HashSet::new(), None);
        Ok(facts)
    }

    /// Adds what the kernel tells, and what came since the last look.
    fn measure(&mut self, facts: &mut Facts, vcpus: &HashSet<i64>, history: Option<History>) {
        if let Some(process) = facts.process.map(Process) {
            process.number(&mut facts.threads);
            let known = &self.memory.known;
            let seen = process.look(&mut facts.threads, known, vcpus);
            facts.n_unnamed = seen.n_unnamed;
            if !seen.is_here && !facts.threads.is_empty() {
                facts.process = None;
                let note = "its threads are of another namespace of processes, or not to be seen";
                facts.notes.push(note.to_owned());
            }
        }
        self.memory.compare(facts, history, Instant::now());
    }

    async fn question(&mut self, monitor: &Monitor, now: Instant) -> Result<Facts, Trouble> {
        let process = monitor.process();
        let is_same = self.memory.of(process);
        let mut facts = Facts {
            server: monitor.version(),
            process,
            ..Facts::default()
        };
        let is_recent = |(made, _): &(Instant, Plan)| now.duration_since(*made) < PLAN_TIME;
        let plan = self.plan.take().filter(|it| is_same && is_recent(it));
        if plan.is_none() {
            // It may be another server now.
            self.tells = Tells::default();
        }
        let since = self.memory.sequence;
        // All at once, so that it is a matter of one turn.
        let (listed, names, internal, loops, history) = tokio::try_join!(
            peer::listed(monitor),
            devices::names(monitor),
            asked(self.tells.internal, peer::internal(monitor)),
            asked(self.tells.loops, loops::ask(monitor)),
            asked(self.tells.history, history::ask(monitor, since)),
        )?;
        self.tells = Tells {
            internal: internal.is_some(),
            loops: loops.is_some(),
            history: history.is_some(),
        };
        if since.is_some() && history.as_ref().is_some_and(|it| it.has_gap) {
            let note = "more holders have come and gone than the server remembers";
            facts.notes.push(note.to_owned());
        }
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
        let (made, plan) = match plan.filter(|(_, plan)| plan.names == names) {
            Some(plan) => plan,
            None => (now, devices::walk(monitor, names).await?),
        };
        facts.name.clone_from(&plan.name);
        facts.devices.clone_from(&plan.devices);
        facts.exports.clone_from(&plan.exports);
        facts.notes.extend_from_slice(&plan.notes);
        devices::place(&mut facts.threads, &facts.devices, Origin::Derived);
        if !tells && !facts.exports.is_empty() {
            let n_exports = facts.exports.len();
            facts.notes.push(format!(
                "the server does not tell the IOThreads of its exports, which are {n_exports}"
            ));
        }
        facts.threads.extend(internal.into_iter().flatten());
        loops::attach(&mut facts.threads, loops.unwrap_or_default());
        self.measure(&mut facts, &plan.vcpus, history);
        self.plan = Some((made, plan));
        Ok(facts)
    }
}

/// Each answer has the deadline, and all of them a quarter more, so that what comes in drops does not last.
async fn within(
    deadline: Duration,
    asking: impl Future<Output = Result<Facts, Trouble>>,
) -> Result<Facts, Trouble> {
    let asked = tokio::time::timeout(deadline + deadline / 4, asking).await;
    asked.unwrap_or_else(|_| {
        let reason = format!("no answer in {deadline:?}");
        Err(Trouble::new(State::Silent, reason))
    })
}

/// What a question gives, if it is to be asked.
async fn asked<T>(
    is_asked: bool,
    question: impl Future<Output = Result<Option<T>, AskError>>,
) -> Result<Option<T>, AskError> {
    match is_asked {
        true => question.await,
        false => Ok(None),
    }
}
