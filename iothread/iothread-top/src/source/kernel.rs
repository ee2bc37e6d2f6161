//! What the kernel of this machine counts of a server's threads.

use std::collections::{HashMap, HashSet};

use iothread_metrics::kernel::{self, Counts};

use crate::facts::{Kernel, Origin, Standing, Thread};
use crate::system;

/// What names of IOThreads begin with, where the server names its threads.
const NAMED: &str = "IO ";

/// The longest name of a thread.
const MAX_NAME: usize = 15;

/// The IOThread on which QEMU runs monitors. It lists it nowhere.
const MONITORS: &str = "mon_iothread";

/// A process, which may be one of another namespace: then its numbers are those of other things here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// What only the process itself shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Threads that nobody accounts for, and whose names say nothing. `None` where names say something.
    pub(crate) n_unnamed: Option<usize>,
    /// Whether there are threads by these numbers at all.
    pub(crate) is_here: bool,
}

impl Process {
    /// Counts what all threads used, and adds those that were deleted and still run: `known` has the numbers and names of
    /// IOThreads that were listed once. `others` are threads that are not IOThreads.
    pub(crate) fn look(
        self,
        threads: &mut Vec<Thread>,
        known: &HashMap<i64, String>,
        others: &HashSet<i64>,
    ) -> Seen {
        let mut seen = Seen::default();
        for thread in threads.iter_mut() {
            thread.kernel = thread.thread_id.and_then(|id| self.counts(id));
            seen.is_here |= thread.kernel.is_some();
        }
        // Where no number is told, the process itself has to be of this namespace.
        let has_numbers = threads.iter().any(|it| it.thread_id.is_some());
        if !has_numbers {
            seen.is_here = self.counts(i64::from(self.0)).is_some();
        }
        if !seen.is_here {
            // Its threads are not those of this process, or have other numbers here.
            return seen;
        }
        let Some(tasks) = self.tasks() else {
            return seen;
        };
        let listed: HashSet<i64> = threads.iter().filter_map(|it| it.thread_id).collect();
        let main = tasks.iter().find(|(id, _)| *id == i64::from(self.0));
        let main = main.map_or("", |(_, name)| name.as_str()).to_owned();
        let has_names = tasks.iter().any(|(_, name)| name.starts_with(NAMED));
        let mut n_unnamed = 0;
        for (id, name) in &tasks {
            if listed.contains(id) || others.contains(id) || *id == i64::from(self.0) {
                continue;
            }
            let named = name.strip_prefix(NAMED).filter(|it| *it != MONITORS);
            match (known.get(id), named) {
                (Some(told), _) => self.add_deleted(threads, *id, told),
                (None, Some(named)) => self.add_deleted(threads, *id, named),
                (None, None) if *name == main => n_unnamed += 1,
                (None, None) => {}
            }
        }
        seen.n_unnamed = (!has_names).then_some(n_unnamed);
        seen
    }

    /// Finds the numbers of IOThreads of which only the names are known.
    pub(crate) fn number(self, threads: &mut [Thread]) {
        if threads.iter().all(|it| it.thread_id.is_some()) {
            return;
        }
        let tasks = self.tasks().unwrap_or_default();
        for thread in threads.iter_mut().filter(|it| it.thread_id.is_none()) {
            let mut named = tasks.iter().filter(|(_, name)| {
                let name = name.strip_prefix(NAMED);
                name.is_some_and(|it| is_cut(&thread.id, it))
            });
            // Names are cut, so two threads may have the same.
            if let (Some((id, _)), None) = (named.next(), named.next()) {
                thread.thread_id = Some(*id);
            }
        }
    }

    /// A thread that runs and is not listed. Devices may have told of it already, though not its number.
    fn add_deleted(self, threads: &mut Vec<Thread>, id: i64, name: &str) {
        let kernel = self.counts(id);
        let is_it = |it: &&mut Thread| {
            it.standing == Standing::Deleted && it.thread_id.is_none() && is_cut(&it.id, name)
        };
        match threads.iter_mut().find(is_it) {
            Some(thread) => {
                thread.thread_id = Some(id);
                thread.kernel = kernel;
            }
            None => threads.push(Thread {
                id: name.to_owned(),
                thread_id: Some(id),
                standing: Standing::Deleted,
                from: Some(Origin::Kernel),
                kernel,
                ..Thread::default()
            }),
        }
    }

    /// The numbers and names of all threads.
    fn tasks(self) -> Option<Vec<(i64, String)>> {
        system::threads(self.0)
    }

    /// What a thread of the process used; see [`kernel::counts`].
    fn counts(self, thread_id: i64) -> Option<Kernel> {
        kernel::counts(self.0, thread_id).map(Kernel::from)
    }

    /// Whether somebody has stopped it, so that it answers nobody.
    pub(crate) fn is_stopped(self) -> bool {
        kernel::is_stopped(self.0)
    }
}

impl From<Counts> for Kernel {
    fn from(counts: Counts) -> Self {
        let Counts {
            ran,
            user,
            system,
            delayed,
            voluntary,
            forced,
            last_cpu,
            affinity,
        } = counts;
        Self {
            ran,
            user,
            system,
            delayed,
            voluntary,
            forced,
            last_cpu,
            affinity,
        }
    }
}

/// Whether `name` is all that the kernel keeps of the name of the IOThread `id`.
fn is_cut(id: &str, name: &str) -> bool {
    let room = MAX_NAME - NAMED.len();
    id == name || (name.len() == room && id.starts_with(name))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;

    use super::*;

    /// This thread in this process.
    fn own() -> (Process, i64) {
        let id = rustix::thread::gettid().as_raw_nonzero().get().into();
        (Process(std::process::id()), id)
    }

    #[test]
    fn a_thread_that_runs_gets_older() {
        let (process, own) = own();
        let before = process.counts(own).unwrap();
        assert!(!before.affinity.is_empty());
        while process.counts(own).unwrap().ran == before.ran {}
        assert!(process.counts(own).unwrap().ran > before.ran);
        assert_eq!(process.counts(-1), None);
    }

    #[test]
    fn threads_of_others_are_not_taken_for_the_servers() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = i64::from(child.id());
        assert_eq!(own().0.counts(other), None);
        let counted = Process(child.id()).counts(other);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(counted.is_some());
    }

    /// Threads that run and are not listed are told by their names, and by what was listed before.
    #[test]
    fn deleted_threads_are_found() {
        let (ready, is_ready) = mpsc::channel();
        let start = |name: &str| {
            let ready = ready.clone();
            let (end, ended) = mpsc::channel::<()>();
            let run = move || {
                ready
                    .send(rustix::thread::gettid().as_raw_nonzero().get())
                    .unwrap();
                // It ends when nobody has the other end.
                let _ = ended.recv();
            };
            let builder = std::thread::Builder::new().name(name.to_owned());
            let thread = builder.spawn(run).unwrap();
            (thread, end, i64::from(is_ready.recv().unwrap()))
        };
        let all = [
            "IO listed",
            "IO a-very-long-one",
            "IO gone",
            "IO mon_iothread",
            "x",
        ]
        .map(start);
        let number = |index: usize| all[index].2;
        let mut threads = vec![
            Thread {
                id: "listed".to_owned(),
                thread_id: Some(number(0)),
                ..Thread::default()
            },
            Thread {
                id: "a-very-long-one".to_owned(),
                standing: Standing::Deleted,
                from: Some(Origin::Derived),
                ..Thread::default()
            },
        ];
        let known = HashMap::from([(number(4), "was-listed".to_owned())]);
        let seen = own().0.look(&mut threads, &known, &HashSet::new());
        assert!(seen.is_here);
        assert_eq!(seen.n_unnamed, None);
        let mut found: Vec<_> = threads
            .iter()
            .map(|it| (it.id.as_str(), it.thread_id, it.standing, it.from))
            .collect();
        found[2..].sort_unstable_by_key(|it| it.0);
        use Standing::{Deleted, Listed};
        assert_eq!(
            found,
            [
                ("listed", Some(number(0)), Listed, None),
                (
                    "a-very-long-one",
                    Some(number(1)),
                    Deleted,
                    Some(Origin::Derived)
                ),
                ("gone", Some(number(2)), Deleted, Some(Origin::Kernel)),
                ("was-listed", Some(number(4)), Deleted, Some(Origin::Kernel)),
            ]
        );
        assert!(threads.iter().all(|it| it.kernel.is_some()));
        for (thread, end, _) in all {
            drop(end);
            thread.join().unwrap();
        }
    }
}
