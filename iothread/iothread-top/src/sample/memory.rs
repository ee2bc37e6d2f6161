//! What was seen at earlier looks at a server.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::facts::{EventLoop, Facts, Holder, Kernel, LoopUsage, Standing, Usage};
use crate::source::history::History;

/// How long somebody who gave up a thread is remembered, and how many are.
const GONE_TIME: Duration = Duration::from_secs(60);
const MAX_GONE: usize = 100;

/// Somebody who gave up a thread.
#[derive(Debug, Clone)]
pub(crate) struct GoneHolder {
    pub(crate) iothread: String,
    pub(crate) holder: Holder,
    /// As exactly as the server tells it; otherwise when it was missed.
    pub(crate) when: Instant,
    /// The command that did it, and the thread to which it took the holder, where the server tells that.
    pub(crate) by: Option<String>,
    pub(crate) to: Option<String>,
}

/// It is of one process: what another one tells at the same place has nothing to do with it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) process: Option<u32>,
    /// What each thread had used, and when that was.
    counts: HashMap<i64, (Instant, Kernel)>,
    /// What each loop had done.
    loops: HashMap<i64, EventLoop>,
    /// The names of IOThreads that were listed once, for as long as they run.
    pub(super) known: HashMap<i64, String>,
    /// The holders of each IOThread at the last look.
    holders: HashMap<String, Vec<Holder>>,
    /// The last change that the server has told.
    pub(super) sequence: Option<u64>,
    gone: VecDeque<GoneHolder>,
}

impl Memory {
    /// Forgets what was of another process. Returns whether it is the same one.
    pub(super) fn of(&mut self, process: Option<u32>) -> bool {
        let is_same = self.process == process;
        if !is_same {
            *self = Self {
                process,
                ..Self::default()
            };
        }
        is_same
    }

    /// Adds to the facts what came between the last look and this one, and keeps what the next one needs.
    /// Who gave up a thread is what the server tells, if it does.
    pub(super) fn compare(&mut self, facts: &mut Facts, history: Option<History>, now: Instant) {
        let mut counts = HashMap::new();
        let mut known = HashMap::new();
        for thread in &mut facts.threads {
            let (Some(id), Some(kernel)) = (thread.thread_id, &thread.kernel) else {
                continue;
            };
            if let Some((then, before)) = self.counts.get(&id) {
                thread.usage = Usage::between(before, kernel, now.duration_since(*then));
            }
            counts.insert(id, (now, kernel.clone()));
            match thread.standing {
                Standing::Listed | Standing::Deleted => {
                    known.insert(id, thread.id.clone());
                }
                Standing::Internal => {}
            }
        }
        self.compare_loops(facts);
        self.counts = counts;
        self.known = known;
        match history {
            Some(history) => self.take(history, now),
            None => self.compare_holders(facts, now),
        }
        self.gone.truncate(MAX_GONE);
        self.gone
            .retain(|it| now.duration_since(it.when) < GONE_TIME);
    }

    /// Takes what the server tells.
    fn take(&mut self, history: History, now: Instant) {
        self.sequence = Some(history.sequence);
        let time = SystemTime::now();
        for left in history.left {
            let age = time.duration_since(left.time).unwrap_or_default();
            // What was before this machine was started is of no interest.
            let Some(when) = now.checked_sub(age) else {
                continue;
            };
            self.gone.push_front(GoneHolder {
                iothread: left.iothread,
                holder: left.holder,
                when,
                by: left.by,
                to: left.to,
            });
        }
    }

    fn compare_loops(&mut self, facts: &mut Facts) {
        let mut loops = HashMap::new();
        for thread in &mut facts.threads {
            let (Some(id), Some(now)) = (thread.thread_id, &thread.event_loop) else {
                continue;
            };
            let before = self.loops.get(&id);
            thread.loop_usage = before.and_then(|before| LoopUsage::between(before, now));
            loops.insert(id, now.clone());
        }
        self.loops = loops;
    }

    fn compare_holders(&mut self, facts: &Facts, now: Instant) {
        let mut holders: HashMap<String, Vec<Holder>> = HashMap::new();
        for thread in &facts.threads {
            if let Some(held) = &thread.holders {
                holders.insert(thread.id.clone(), held.clone());
            }
        }
        for (iothread, before) in &self.holders {
            let now_held = holders.get(iothread);
            let names: std::collections::HashSet<_> = now_held
                .into_iter()
                .flatten()
                .map(|it| (&it.kind, &it.name))
                .collect();
            for holder in before {
                if !names.contains(&(&holder.kind, &holder.name)) {
                    self.gone.push_front(GoneHolder {
                        iothread: iothread.clone(),
                        holder: holder.clone(),
                        when: now,
                        by: None,
                        to: None,
                    });
                }
            }
        }
        self.holders = holders;
    }

    pub(super) fn gone(&self) -> Vec<GoneHolder> {
        self.gone.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Thread;
    use crate::source::history::Left;

    fn facts(holders: &[&str], ran: u64) -> Facts {
        let holder = |name: &&str| Holder {
            kind: "block-node".to_owned(),
            name: (*name).to_owned(),
            ..Holder::default()
        };
        let thread = Thread {
            id: "io0".to_owned(),
            thread_id: Some(7),
            holders: Some(holders.iter().map(holder).collect()),
            kernel: Some(Kernel {
                ran: Duration::from_millis(ran),
                ..Kernel::default()
            }),
            ..Thread::default()
        };
        Facts {
            threads: vec![thread],
            ..Facts::default()
        }
    }

    #[test]
    fn looks_are_compared() {
        let mut memory = Memory::default();
        let start = Instant::now();
        memory.of(Some(1));
        let mut first = facts(&["a", "b"], 100);
        memory.compare(&mut first, None, start);
        assert_eq!(first.threads[0].usage, None);
        assert!(memory.gone().is_empty());

        let mut second = facts(&["b"], 350);
        memory.compare(&mut second, None, start + Duration::from_secs(1));
        assert_eq!(second.threads[0].usage.unwrap().cpu, 0.25);
        let gone = memory.gone();
        assert_eq!(gone.len(), 1);
        assert_eq!(
            (gone[0].iothread.as_str(), gone[0].holder.name.as_str()),
            ("io0", "a")
        );
        assert_eq!(memory.known[&7], "io0");

        // It is forgotten after a while.
        memory.compare(
            &mut facts(&["b"], 350),
            None,
            start + Duration::from_secs(90),
        );
        assert!(memory.gone().is_empty());
        // Another process has the same numbers.
        memory.of(Some(2));
        let mut third = facts(&[], 9_000);
        memory.compare(&mut third, None, start + Duration::from_secs(91));
        assert_eq!(third.threads[0].usage, None);
        assert!(memory.gone().is_empty());
    }

    /// A server that tells its history is believed, also about what lies between two looks.
    #[test]
    fn history_is_exact() {
        let mut memory = Memory::default();
        let left = |seconds| Left {
            iothread: "io0".to_owned(),
            holder: Holder {
                name: format!("after-{seconds}"),
                ..Holder::default()
            },
            time: SystemTime::now() - Duration::from_secs(seconds),
            by: Some("blockdev-del".to_owned()),
            to: None,
        };
        let history = History {
            sequence: 9,
            has_gap: false,
            left: vec![left(90), left(30)],
        };
        let now = Instant::now();
        memory.compare(&mut facts(&["a"], 0), Some(history), now);
        let gone = memory.gone();
        // A machine may have been started just now.
        let known: Vec<_> = gone.iter().map(|it| it.holder.name.as_str()).collect();
        assert!(known.is_empty() || known == ["after-30"], "{gone:?}");
        assert_eq!(memory.sequence, Some(9));
        // Nobody is missed whom the server does not tell.
        memory.compare(&mut facts(&[], 0), Some(History::default()), now);
        assert_eq!(memory.gone().len(), known.len());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut memory = Memory::default();
        let names: Vec<String> = (0..1_000).map(|it| it.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let start = Instant::now();
        memory.compare(&mut facts(&names, 0), None, start);
        memory.compare(&mut facts(&[], 0), None, start);
        assert_eq!(memory.gone().len(), MAX_GONE);
    }
}
