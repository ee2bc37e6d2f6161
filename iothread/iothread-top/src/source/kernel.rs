//! What the kernel of this machine counts of a server's threads.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use crate::facts::{Kernel, Origin, Standing, Thread};

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
    /// IOThreads that were listed once. `others` are threads that are no IOThreads.
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
        let folder = fs::read_dir(format!("/proc/{}/task", self.0)).ok()?;
        let tasks = folder.flatten().filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some((id, name.trim_end_matches('\n').to_owned()))
        });
        Some(tasks.collect())
    }

    /// What a thread of the process used. Nothing if the process has no such thread, or calls it by a number of another
    /// namespace: then the number is that of something else here.
    fn counts(self, thread_id: i64) -> Option<Kernel> {
        let folder = format!("/proc/{}/task/{thread_id}", self.0);
        let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
        let status = Status::parse(&read("status")?);
        if status.numbers != [thread_id] {
            return None;
        }
        counts(&read("schedstat")?, &read("stat")?, status)
    }

    /// Whether somebody has stopped it, so that it answers nobody.
    pub(crate) fn is_stopped(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        matches!(fields(&stat).next(), Some("T" | "t"))
    }
}

/// Whether `name` is all that the kernel keeps of the name of the IOThread `id`.
fn is_cut(id: &str, name: &str) -> bool {
    let room = MAX_NAME - NAMED.len();
    id == name || (name.len() == room && id.starts_with(name))
}

/// What is told in lines `NAME:\tVALUE`.
#[derive(Default)]
struct Status {
    /// The numbers of the thread in all namespaces from this one down.
    numbers: Vec<i64>,
    affinity: String,
    voluntary: u64,
    forced: u64,
}

impl Status {
    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            let number = || value.parse().unwrap_or_default();
            match name {
                "NSpid" => {
                    let numbers = value.split_whitespace();
                    status.numbers = numbers.map(|it| it.parse().unwrap_or(-1)).collect();
                }
                "Cpus_allowed_list" => status.affinity = value.to_owned(),
                "voluntary_ctxt_switches" => status.voluntary = number(),
                "nonvoluntary_ctxt_switches" => status.forced = number(),
                _ => {}
            }
        }
        status
    }
}

/// What is in `stat` behind the name, which may have blanks and brackets: the state is first.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace()
}

// proc(5) counts from 1, with the state as the third.
const USER_TIME: usize = 14 - 3;
const SYSTEM_TIME: usize = 15 - 3;
const LAST_CPU: usize = 39 - 3;

fn counts(schedstat: &str, stat: &str, status: Status) -> Option<Kernel> {
    // Nanoseconds on a processor, and nanoseconds of waiting for one.
    let mut times = schedstat.split_whitespace().map(str::parse);
    let (ran, delayed) = (times.next()?.ok()?, times.next()?.ok()?);
    let fields: Vec<&str> = fields(stat).collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = |index: usize| {
        let per_second = rustix::param::clock_ticks_per_second();
        Some(Duration::from_secs_f64(
            field(index)? as f64 / per_second as f64,
        ))
    };
    Some(Kernel {
        ran: Duration::from_nanos(ran),
        user: ticks(USER_TIME)?,
        system: ticks(SYSTEM_TIME)?,
        delayed: Duration::from_nanos(delayed),
        voluntary: status.voluntary,
        forced: status.forced,
        last_cpu: u32::try_from(field(LAST_CPU)?).ok()?,
        affinity: status.affinity,
    })
}

#[cfg(test)]
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
        for (numbers, expected) in [
            ("NSpid:\t7\n", vec![7]),
            ("NSpid:\t4242\t7\n", vec![4242, 7]),
            ("NSpid:\t7\t7\n", vec![7, 7]),
            ("", vec![]),
        ] {
            let status = Status::parse(&format!("Name:\tx\n{numbers}"));
            assert_eq!(status.numbers, expected);
        }
    }

    /// A name may look like what follows it.
    #[test]
    fn counts_are_read_by_their_places() {
        let stat = "7 (IO ) S 1 (2) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 -1 3 0 0";
        let status = "NSpid:\t7\nCpus_allowed_list:\t0-3,8\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t5\n";
        let counted = counts("2000000000 500 9", stat, Status::parse(status)).unwrap();
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(counted.user, Duration::from_secs_f64(150.0 / per_second));
        assert_eq!(counted.system, Duration::from_secs_f64(50.0 / per_second));
        assert_eq!(counted.ran, Duration::from_secs(2));
        assert_eq!(counted.delayed, Duration::from_nanos(500));
        assert_eq!((counted.voluntary, counted.forced), (12, 5));
        assert_eq!((counted.last_cpu, counted.affinity.as_str()), (3, "0-3,8"));
        for cut in ["", "7 (x) S 1", "7 (x"] {
            assert_eq!(counts("1 2 3", cut, Status::default()), None);
        }
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
