//! Linux: what it counts is in files below /proc.

use std::fs;
use std::time::Duration;

use super::Counts;

pub(super) fn counts(process: u32, thread_id: i64) -> Option<Counts> {
    let folder = format!("/proc/{process}/task/{thread_id}");
    let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
    let status = Status::parse(&read("status")?);
    if status.numbers != [thread_id] {
        return None;
    }
    parse(&read("schedstat")?, &read("stat")?, status)
}

pub(super) fn is_stopped(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    matches!(fields(&stat).next(), Some("T" | "t"))
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

fn parse(schedstat: &str, stat: &str, status: Status) -> Option<Counts> {
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
    Some(Counts {
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
    use super::*;

    #[test]
    fn numbers_in_all_namespaces_are_read() {
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
        let counted = parse("2000000000 500 9", stat, Status::parse(status)).unwrap();
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(counted.user, Duration::from_secs_f64(150.0 / per_second));
        assert_eq!(counted.system, Duration::from_secs_f64(50.0 / per_second));
        assert_eq!(counted.ran, Duration::from_secs(2));
        assert_eq!(counted.delayed, Duration::from_nanos(500));
        assert_eq!((counted.voluntary, counted.forced), (12, 5));
        assert_eq!((counted.last_cpu, counted.affinity.as_str()), (3, "0-3,8"));
        for cut in ["", "7 (x) S 1", "7 (x"] {
            assert_eq!(parse("1 2 3", cut, Status::default()), None);
        }
    }
}
