//! Rows: one for each IOThread of a server that answers, and one for a server that does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::facts::{Holder, Standing, Thread};
use crate::sample::{Look, State};

/// A line of a table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) look: Arc<Look>,
    /// The place of the thread among those of the server.
    thread: Option<usize>,
}

impl Row {
    pub(crate) fn thread(&self) -> Option<&Thread> {
        self.look.facts.as_ref()?.threads.get(self.thread?)
    }

    pub(crate) fn holders(&self) -> Option<&[Holder]> {
        self.thread()?.holders.as_deref()
    }

    /// What stays the same from look to look, for a selection that follows its row.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let id = |row: &Self| row.thread().map(|it| (it.id.clone(), it.thread_id));
        self.look.target == other.look.target && id(self) == id(other)
    }

    /// What there is to say of a server that has no threads to show.
    pub(crate) fn remark(&self, now: Instant) -> Option<String> {
        if self.thread.is_some() {
            return None;
        }
        let look = &self.look;
        if look.state.is_fresh() {
            let note = look.facts.as_ref().and_then(|it| it.notes.first());
            let note = note.map_or("no IOThreads", String::as_str);
            return Some(note.to_owned());
        }
        let age = seconds(now.saturating_duration_since(look.since));
        Some(match look.state {
            State::New => look.reason.clone(),
            State::Alive
            | State::Slow
            | State::Silent
            | State::Busy
            | State::Gone
            | State::Foreign => format!("{} for {age}: {}", look.state.name(), look.reason),
        })
    }
}

/// The rows of all servers, in their order. Threads that servers keep for themselves are among them if `shows_internal`.
pub(crate) fn rows(looks: &[Arc<Look>], shows_internal: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for look in looks {
        let n_before = rows.len();
        let threads = look.fresh().map_or(&[][..], |it| &it.threads);
        for (index, thread) in threads.iter().enumerate() {
            let is_shown = match thread.standing {
                Standing::Listed | Standing::Deleted => true,
                Standing::Internal => shows_internal,
            };
            if is_shown {
                rows.push(Row {
                    look: Arc::clone(look),
                    thread: Some(index),
                });
            }
        }
        if rows.len() == n_before {
            rows.push(Row {
                look: Arc::clone(look),
                thread: None,
            });
        }
    }
    rows
}

/// One line about all servers.
pub(crate) fn summary(looks: &[Arc<Look>], rows: &[Row]) -> String {
    let mut parts = Vec::new();
    let alive = looks.iter().filter(|it| it.state.is_fresh()).count();
    let states = State::ALL.into_iter().filter(|it| *it != State::Alive);
    let others: Vec<String> = states
        .filter_map(|state| {
            let n_looks = looks.iter().filter(|it| it.state == state).count();
            (n_looks > 0).then(|| format!("{n_looks} {}", state.name()))
        })
        .collect();
    if looks.len() != 1 || alive != 1 {
        parts.push(match others.is_empty() {
            true => counted(looks.len(), "guest"),
            false => format!("{}: {}", counted(looks.len(), "guest"), others.join(", ")),
        });
    }
    let threads: Vec<&Thread> = rows.iter().filter_map(Row::thread).collect();
    let mut text = counted(threads.len(), "IOThread");
    let told: Vec<usize> = threads
        .iter()
        .filter_map(|it| it.holders.as_ref().map(Vec::len))
        .collect();
    if !told.is_empty() {
        let n_idle = told.iter().filter(|it| **it == 0).count();
        text.push_str(&format!(", {n_idle} of them unheld"));
        parts.push(text);
        parts.push(counted(told.iter().sum(), "holder"));
    } else {
        parts.push(text);
    }
    let usage = threads.iter().filter_map(|it| it.usage);
    if let Some(cpu) = usage.map(|it| it.cpu).reduce(|a, b| a + b) {
        let mut text = format!("{:.1}% of a CPU", cpu * 100.0);
        let told = threads.iter().filter_map(|it| it.loop_usage);
        if let Some(polling) = told.map(|it| it.polling).reduce(|a, b| a + b) {
            text.push_str(&format!(", {:.1}% polling", polling * 100.0));
        }
        parts.push(text);
    }
    parts.join("; ")
}

pub(crate) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A time for people: `3s`, `2m`, `5h`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::facts::{Facts, Kernel, Origin, Usage};

    pub(in crate::view) fn holder(name: &str) -> Holder {
        Holder {
            kind: "qom-object".to_owned(),
            name: name.to_owned(),
            ..Holder::default()
        }
    }

    pub(in crate::view) fn thread(id: &str, cpu: f64, holders: &[&str]) -> Thread {
        Thread {
            id: id.to_owned(),
            thread_id: Some(41),
            holders: Some(holders.iter().map(|it| holder(it)).collect()),
            from: Some(Origin::Derived),
            kernel: Some(Kernel {
                ran: Duration::from_millis(62_500),
                last_cpu: 3,
                affinity: "0-3".to_owned(),
                ..Kernel::default()
            }),
            usage: Some(Usage {
                cpu,
                ..Usage::default()
            }),
            ..Thread::default()
        }
    }

    pub(in crate::view) fn look(name: &str, state: State, threads: Vec<Thread>) -> Arc<Look> {
        let target = crate::target::Target::At(format!("unix:/run/{name}.qmp").parse().unwrap());
        Arc::new(Look {
            state,
            reason: "for a reason".to_owned(),
            facts: Some(Arc::new(Facts {
                name: Some(name.to_owned()),
                threads,
                ..Facts::default()
            })),
            ..Look::new(target)
        })
    }

    #[test]
    fn a_server_that_does_not_answer_has_one_row() {
        let two = || vec![thread("io0", 0.5, &["a", "b"]), thread("io1", 0.25, &[])];
        let looks = [
            look("vm0", State::Alive, two()),
            look("vm1", State::Silent, two()),
            look("vm2", State::Slow, Vec::new()),
        ];
        let rows = rows(&looks, false);
        let now = Instant::now();
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.look.title(),
                    row.thread().map(|it| it.id.as_str()),
                    row.remark(now),
                )
            })
            .collect();
        let (vm0, vm1, vm2) = ("vm0".to_owned(), "vm1".to_owned(), "vm2".to_owned());
        assert_eq!(
            shown,
            [
                (vm0.clone(), Some("io0"), None),
                (vm0, Some("io1"), None),
                (vm1, None, Some("silent for 0s: for a reason".to_owned())),
                (vm2, None, Some("no IOThreads".to_owned())),
            ]
        );
        assert_eq!(
            summary(&looks, &rows),
            "3 guests: 1 slow, 1 silent; 2 IOThreads, 1 of them unheld; 2 holders; 75.0% of a CPU"
        );
        assert_eq!(
            summary(&looks[..1], &rows[..2]),
            "2 IOThreads, 1 of them unheld; 2 holders; 75.0% of a CPU"
        );
        assert_eq!(summary(&[], &[]), "0 guests; 0 IOThreads");
    }

    #[test]
    fn internal_threads_are_shown_if_wanted() {
        let mut internal = thread("mon_iothread", 0.0, &[]);
        internal.standing = Standing::Internal;
        let looks = [look("vm0", State::Alive, vec![internal])];
        assert!(rows(&looks, false)[0].thread().is_none());
        assert!(rows(&looks, true)[0].thread().is_some());
    }
}
