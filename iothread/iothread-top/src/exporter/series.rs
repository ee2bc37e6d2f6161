//! Which series there are: guests have names of their own, and none has more series than there is room for.

use std::collections::HashMap;
use std::sync::Arc;

use iothread_metrics::label;

use crate::facts::{Holder, Standing, Thread};
use crate::sample::Look;

/// The most IOThreads of a guest. No guest that is well has nearly as many; what answers may be no guest.
const MAX_THREADS: usize = 1_024;

/// The most kinds of holders of a thread that have a count of their own; further ones are `other`.
const MAX_KINDS: usize = 8;

/// How many series there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many series may name holders, for all guests together.
    pub(crate) n_infos: usize,
}

/// A guest and the labels of its series.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) look: Arc<Look>,
    /// Its name; its address follows if others have the same name.
    pub(super) label: String,
    pub(super) threads: Vec<ThreadSeries>,
}

/// An IOThread.
#[derive(Debug)]
pub(super) struct ThreadSeries {
    pub(super) label: String,
    pub(super) thread: Thread,
    /// How many holders there are of each kind.
    pub(super) kinds: Vec<(String, usize)>,
    /// The holders that are named.
    pub(super) infos: Vec<Holder>,
}

/// What there is to export.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) guests: Vec<Guest>,
    /// Holders and threads for which there was no room.
    pub(super) n_infos_left_out: usize,
    pub(super) n_threads_left_out: usize,
    pub(super) n_guests_left_out: usize,
}

impl Series {
    pub(super) fn new(looks: Vec<Arc<Look>>, n_guests_left_out: usize, limits: Limits) -> Self {
        let mut series = Self {
            guests: Vec::with_capacity(looks.len()),
            n_infos_left_out: 0,
            n_threads_left_out: 0,
            n_guests_left_out,
        };
        let mut n_named: HashMap<String, usize> = HashMap::new();
        for look in &looks {
            *n_named.entry(label(&look.title())).or_default() += 1;
        }
        let mut n_infos = limits.n_infos;
        for look in looks {
            let title = label(&look.title());
            let label = match n_named[&title] {
                1 => title,
                _ => label(&format!("{title}@{}", look.target)),
            };
            let threads = series.threads(&look, &mut n_infos);
            series.guests.push(Guest {
                look,
                label,
                threads,
            });
        }
        series
    }

    fn threads(&mut self, look: &Look, n_infos: &mut usize) -> Vec<ThreadSeries> {
        let threads = look.fresh().map_or(&[][..], |it| &it.threads);
        let mut series: Vec<ThreadSeries> = Vec::new();
        let mut labels: HashMap<String, usize> = HashMap::new();
        for thread in threads {
            match thread.standing {
                Standing::Listed | Standing::Deleted => {}
                Standing::Internal => continue,
            }
            if series.len() == MAX_THREADS {
                self.n_threads_left_out += 1;
                continue;
            }
            // A deleted thread may have a successor of the same name.
            let mut label = label(&thread.id);
            let n_same = labels.entry(label.clone()).or_default();
            *n_same += 1;
            if *n_same > 1 {
                let number = thread.thread_id.unwrap_or_default();
                label = format!("{label}#{number}-{n_same}");
            }
            let holders = thread.holders.as_deref().unwrap_or_default();
            let n_named = holders.len().min(*n_infos);
            *n_infos -= n_named;
            self.n_infos_left_out += holders.len() - n_named;
            series.push(ThreadSeries {
                label,
                kinds: kinds(holders),
                infos: distinct(&holders[..n_named]),
                thread: Thread {
                    holders: None,
                    ..thread.clone()
                },
            });
        }
        series
    }
}

/// A holder that holds several times has one series.
fn distinct(holders: &[Holder]) -> Vec<Holder> {
    let mut seen = std::collections::HashSet::new();
    let mut distinct = Vec::with_capacity(holders.len());
    for holder in holders {
        let holder = Holder {
            kind: label(&holder.kind),
            name: label(&holder.name),
            ..Holder::default()
        };
        if seen.insert(holder.clone()) {
            distinct.push(holder);
        }
    }
    distinct
}

fn kinds(holders: &[Holder]) -> Vec<(String, usize)> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    let mut n_others = 0;
    for holder in holders {
        let kind = label(&holder.kind);
        match kinds.iter().position(|(known, _)| *known == kind) {
            Some(index) => kinds[index].1 += 1,
            None if kinds.len() < MAX_KINDS => kinds.push((kind, 1)),
            None => n_others += 1,
        }
    }
    if n_others > 0 {
        kinds.push(("other".to_owned(), n_others));
    }
    kinds
}

#[cfg(test)]
pub(super) mod tests {
    use iothread_metrics::MAX_LABEL;

    use super::*;
    use crate::facts::Facts;
    use crate::sample::State;

    pub(in crate::exporter) fn look(name: &str, path: &str, threads: Vec<Thread>) -> Arc<Look> {
        let target = crate::target::Target::At(format!("unix:{path}").parse().unwrap());
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

    pub(in crate::exporter) fn thread(id: &str, holders: &[(&str, &str)]) -> Thread {
        let holder = |(kind, name): &(&str, &str)| Holder {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            ..Holder::default()
        };
        Thread {
            id: id.to_owned(),
            holders: Some(holders.iter().map(holder).collect()),
            ..Thread::default()
        }
    }

    #[test]
    fn no_two_series_are_the_same() {
        let twice = [("monitor", "m0"), ("monitor", "m0")];
        let looks = vec![
            look("vm", "/a", vec![thread("io0", &twice), thread("io0", &[])]),
            look("vm", "/b", Vec::new()),
            look("other", "/c", Vec::new()),
        ];
        let series = Series::new(looks, 0, Limits { n_infos: 10 });
        let labels: Vec<_> = series.guests.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["vm@unix:/a", "vm@unix:/b", "other"]);
        let threads = &series.guests[0].threads;
        assert_eq!(threads[0].label, "io0");
        assert_eq!(threads[1].label, "io0#0-2");
        assert_eq!(threads[0].kinds, [("monitor".to_owned(), 2)]);
        assert_eq!(threads[0].infos.len(), 1);
    }

    #[test]
    fn there_are_no_more_series_than_there_is_room_for() {
        let names: Vec<String> = (0..100).map(|it| format!("n{it}")).collect();
        let holders: Vec<_> = names.iter().map(|it| (it.as_str(), it.as_str())).collect();
        let mut threads = vec![thread("io0", &holders)];
        threads.extend((1..2_000).map(|it| thread(&format!("io{it}"), &[])));
        let looks = vec![look(&"x".repeat(10_000), "/a", threads)];
        let series = Series::new(looks, 3, Limits { n_infos: 40 });
        let guest = &series.guests[0];
        assert_eq!(guest.label.len(), MAX_LABEL);
        assert_eq!(guest.threads.len(), MAX_THREADS);
        assert_eq!(guest.threads[0].kinds.len(), MAX_KINDS + 1);
        assert_eq!(
            guest.threads[0].kinds[MAX_KINDS],
            ("other".to_owned(), 100 - MAX_KINDS)
        );
        assert_eq!(guest.threads[0].infos.len(), 40);
        assert_eq!(series.n_infos_left_out, 60);
        assert_eq!(series.n_threads_left_out, 2_000 - MAX_THREADS);
        assert_eq!(series.n_guests_left_out, 3);
    }
}
