//! The fields of a row.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Instant;

use super::printable::{end_of, printable};
use super::row::{Row, seconds};
use crate::facts::{Holder, Kernel, LoopUsage, Standing, Thread, Usage};

macro_rules! fields {
    ($($(#[doc = $about:literal])+ $field:ident $name:literal $heading:literal $is_number:literal $weight:literal,)+) => {
        /// What can be known of a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Field {
            $($(#[doc = $about])+ $field,)+
        }

        impl Field {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$field,)+];

            /// What it is called on the command line, in JSON and in CSV.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)+ }
            }

            /// The head of its column.
            pub(crate) fn heading(self) -> &'static str {
                match self { $(Self::$field => $heading,)+ }
            }

            /// What it means.
            pub(crate) fn about(self) -> &'static str {
                match self { $(Self::$field => concat!($($about),+),)+ }
            }

            pub(crate) fn is_number(self) -> bool {
                match self { $(Self::$field => $is_number,)+ }
            }

            /// How much a narrow screen needs it.
            pub(crate) fn weight(self) -> u8 {
                match self { $(Self::$field => $weight,)+ }
            }
        }
    };
}

fields! {
    /// the guest's name, or the server's address
    Guest "guest" "GUEST" false 8,
    /// the server's address
    Target "target" "TARGET" false 1,
    /// alive, slow, silent, busy, gone, foreign, or new
    State "state" "STATE" false 4,
    /// how long it has been so
    Age "age" "AGE" true 2,
    /// the thread's id
    Iothread "iothread" "IOTHREAD" false 9,
    /// listed, internal, or deleted
    Standing "standing" "STANDING" false 2,
    /// the number of the thread
    Tid "tid" "TID" true 3,
    /// time on a processor, as a part of one, be it for work or for polling
    Cpu "cpu" "CPU" true 7,
    /// the part of it outside of the kernel
    User "user" "USER" true 2,
    /// the part of it in the kernel
    System "system" "SYS" true 2,
    /// time of waiting for a processor, as a part of all time
    Delay "delay" "DELAY" true 5,
    /// the part of the time in which its loop ran what it has to do, where the server tells it
    Dispatching "dispatching" "WORK" true 6,
    /// the part in which its loop polled: on a processor, and no work
    Polling "polling" "POLL" true 5,
    /// the part in which its loop slept
    Blocked "blocked" "SLEEP" true 1,
    /// what its loop ran: descriptors, bottom halves, calls of other threads, timers; a second
    Events "events" "EVENTS/S" true 1,
    /// the part of its polls that found something to do
    PollHits "poll-hits" "HITS" true 1,
    /// how often it goes to sleep, a second
    Voluntary "voluntary" "VOL/S" true 1,
    /// how often it is made to give way, a second
    Forced "forced" "INV/S" true 1,
    /// time on a processor since the thread began, in seconds
    Time "time" "TIME" true 2,
    /// the processor that it was on last
    On "on" "ON" true 2,
    /// the processors that it may use
    Affinity "affinity" "AFFINITY" false 2,
    /// the longest time for which its loop polls, in nanoseconds
    PollMax "poll-max-ns" "POLL-MAX" true 1,
    /// how many holders it has
    Held "held" "HELD" true 6,
    /// who tells the holders: the server (told), the properties of its devices (derived), libvirt, or the kernel, that it runs
    From "from" "FROM" false 3,
    /// the holders
    Holders "holders" "HOLDERS" false 9,
    /// the files of the holders' disks
    Disks "disks" "DISKS" false 2,
    /// what the server greets with
    Server "server" "SERVER" false 1,
    /// the server's process
    Process "process" "PID" true 1,
}

/// The columns unless others are asked for. Some are there only where a server tells them.
const USUAL: [Field; 11] = [
    Field::Guest,
    Field::State,
    Field::Iothread,
    Field::Tid,
    Field::Cpu,
    Field::Dispatching,
    Field::Polling,
    Field::Delay,
    Field::Held,
    Field::From,
    Field::Holders,
];

/// Those of the usual columns that are left out where nobody tells them.
const IF_TOLD: [Field; 2] = [Field::Dispatching, Field::Polling];

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|it| it.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|it| it.name()).collect();
            format!("'{text}' is not a field; those are {}", names.join(", "))
        })
    }
}

/// Columns, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldList {
    fields: Vec<Field>,
    /// Whether the usual ones are among them as such.
    is_usual: bool,
}

impl Default for FieldList {
    fn default() -> Self {
        Self {
            fields: USUAL.to_vec(),
            is_usual: true,
        }
    }
}

impl FieldList {
    pub(crate) fn all() -> Self {
        Self {
            fields: Field::ALL.to_vec(),
            is_usual: false,
        }
    }

    /// The columns for these rows.
    pub(crate) fn columns(&self, rows: &[&Row]) -> Vec<Field> {
        let tells = |row: &&Row| row.thread().is_some_and(|it| it.loop_usage.is_some());
        let has_all = !self.is_usual || rows.iter().any(tells);
        let shown = |it: &Field| has_all || !IF_TOLD.contains(it);
        self.fields.iter().copied().filter(shown).collect()
    }
}

impl FromStr for FieldList {
    type Err = String;

    /// Names with commas between; `all` is all of them, and a `+` in front adds to the usual ones.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut list, names) = match text.strip_prefix('+') {
            Some(more) => (Self::default(), more),
            None => {
                let nothing = Self {
                    fields: Vec::new(),
                    is_usual: false,
                };
                (nothing, text)
            }
        };
        if names == "all" {
            return Ok(Self::all());
        }
        for name in names.split(',') {
            let field = name.parse()?;
            if !list.fields.contains(&field) {
                list.fields.push(field);
            }
        }
        Ok(list)
    }
}

/// What stands for that which nobody knows.
const UNKNOWN: &str = "-";

/// What a holder is called where there is little room.
pub(crate) fn short(name: &str) -> &str {
    let name = name.strip_suffix("/virtio-backend").unwrap_or(name);
    name.strip_prefix("/machine/peripheral/")
        .or_else(|| name.strip_prefix("/machine/"))
        .unwrap_or(name)
}

impl Field {
    /// The value as a number, for comparisons. Parts of a processor are hundredths.
    pub(crate) fn number(self, row: &Row, now: Instant) -> Option<f64> {
        let thread = row.thread();
        let kernel = thread.and_then(|it| it.kernel.as_ref());
        let usage = thread.and_then(|it| it.usage);
        let kernel = |number: fn(&Kernel) -> f64| kernel.map(number);
        let part = |part: fn(&Usage) -> f64| usage.map(|it| part(&it) * 100.0);
        let rate = |rate: fn(&Usage) -> f64| usage.map(|it| rate(&it));
        let told = thread.and_then(|it| it.loop_usage);
        let told = |part: fn(&LoopUsage) -> f64| told.map(|it| part(&it) * 100.0);
        match self {
            Self::Age => Some(now.saturating_duration_since(row.look.since).as_secs_f64()),
            Self::Tid => thread?.thread_id.map(|it| it as f64),
            Self::Cpu => part(|it| it.cpu),
            Self::User => part(|it| it.user),
            Self::System => part(|it| it.system),
            Self::Delay => part(|it| it.delay),
            Self::Dispatching => told(|it| it.dispatching),
            Self::Polling => told(|it| it.polling),
            Self::Blocked => told(|it| it.blocked),
            Self::Events => Some(thread?.loop_usage?.events),
            Self::PollHits => Some(thread?.loop_usage?.poll_hits? * 100.0),
            Self::Voluntary => rate(|it| it.voluntary),
            Self::Forced => rate(|it| it.forced),
            Self::Time => kernel(|it| it.ran.as_secs_f64()),
            Self::On => kernel(|it| f64::from(it.last_cpu)),
            Self::PollMax => thread?.poll_max_ns.map(|it| it as f64),
            Self::Held => row.holders().map(|it| it.len() as f64),
            Self::Process => row.look.fresh()?.process.map(f64::from),
            Self::Guest
            | Self::Target
            | Self::State
            | Self::Iothread
            | Self::Standing
            | Self::Affinity
            | Self::From
            | Self::Holders
            | Self::Disks
            | Self::Server => None,
        }
    }

    /// The value for machines, empty where nobody knows it. Lists have a blank between.
    pub(crate) fn plain(self, row: &Row, now: Instant) -> String {
        if self.is_number() {
            let number = self.number(row, now);
            return number.map_or_else(String::new, |it| format!("{}", (it * 1e6).round() / 1e6));
        }
        self.words(row).unwrap_or_default()
    }

    /// The value for people, of which nothing steers a terminal.
    pub(crate) fn text(self, row: &Row, now: Instant) -> String {
        let number = || self.number(row, now);
        let shown = match self {
            Self::Age => number().map(|_| seconds(now.saturating_duration_since(row.look.since))),
            Self::Cpu
            | Self::User
            | Self::System
            | Self::Delay
            | Self::Dispatching
            | Self::Polling
            | Self::Blocked
            | Self::PollHits => number().map(|it| format!("{it:.1}%")),
            Self::Voluntary | Self::Forced | Self::Events => number().map(|it| format!("{it:.0}")),
            Self::Time => number().map(|it| format!("{it:.2}")),
            Self::Tid | Self::On | Self::PollMax | Self::Held | Self::Process => {
                number().map(|it| format!("{it}"))
            }
            Self::Iothread => row.thread().map(|thread| match thread.standing {
                Standing::Listed => printable(&thread.id),
                Standing::Internal => format!("({})", printable(&thread.id)),
                Standing::Deleted => format!("{} (deleted)", printable(&thread.id)),
            }),
            Self::Holders => match row.remark(now) {
                Some(remark) => Some(printable(&remark)),
                None => row.holders().map(|holders| match holders {
                    [] => "none".to_owned(),
                    _ => printable(&joined(holders.iter().map(|it| it.name.as_str()))),
                }),
            },
            Self::Guest
            | Self::Target
            | Self::State
            | Self::Standing
            | Self::Affinity
            | Self::From
            | Self::Disks
            | Self::Server => self.words(row).map(|it| printable(&it)),
        };
        shown
            .filter(|it| !it.is_empty())
            .unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// The holders in little room: short names, and no more of them than can be seen.
    pub(crate) fn brief(self, row: &Row, now: Instant, width: usize) -> String {
        // Addresses begin alike, and end with what tells them apart.
        if self == Self::Guest && row.look.has_no_name() {
            return end_of(&self.text(row, now), width);
        }
        let holders = match (self, row.holders()) {
            (Self::Holders, Some(holders)) if !holders.is_empty() => holders,
            _ => return self.text(row, now),
        };
        let mut shown = String::new();
        for holder in holders {
            if shown.len() > width {
                break;
            }
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.push_str(&printable(short(&holder.name)));
            if let Some(queues) = &holder.queues {
                let _ = write!(shown, "[{}]", numbers(queues));
            }
        }
        shown
    }

    fn words(self, row: &Row) -> Option<String> {
        let thread = row.thread();
        let look = &row.look;
        match self {
            Self::Guest => Some(look.title()),
            Self::Target => Some(look.target.to_string()),
            Self::State => Some(look.state.name().to_owned()),
            Self::Iothread => thread.map(|it| it.id.clone()),
            Self::Standing => thread.map(standing),
            Self::Affinity => Some(thread?.kernel.as_ref()?.affinity.clone()),
            Self::From => Some(thread?.from?.name().to_owned()),
            Self::Holders => row
                .holders()
                .map(|holders| joined(holders.iter().map(|it| it.name.as_str()))),
            Self::Disks => row.holders().map(disks),
            Self::Server => look.fresh().map(|it| it.server.clone()),
            Self::Age
            | Self::Tid
            | Self::Cpu
            | Self::User
            | Self::System
            | Self::Delay
            | Self::Dispatching
            | Self::Polling
            | Self::Blocked
            | Self::Events
            | Self::PollHits
            | Self::Voluntary
            | Self::Forced
            | Self::Time
            | Self::On
            | Self::PollMax
            | Self::Held
            | Self::Process => None,
        }
    }
}

fn standing(thread: &Thread) -> String {
    let name = match thread.standing {
        Standing::Listed => "listed",
        Standing::Internal => "internal",
        Standing::Deleted => "deleted",
    };
    name.to_owned()
}

fn disks(holders: &[Holder]) -> String {
    let disks = holders.iter().flat_map(|it| &it.disks);
    joined(disks.map(|it| it.file.as_deref().unwrap_or(&it.node)))
}

fn joined<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.collect::<Vec<_>>().join(" ")
}

/// Numbers with commas between.
pub(crate) fn numbers(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::row::rows;
    use super::super::row::tests::{look, thread};
    use super::*;
    use crate::sample::State;

    #[test]
    fn fields_are_named_once() {
        let mut names: Vec<_> = Field::ALL.iter().map(|it| it.name()).collect();
        for name in &names {
            assert_eq!(name.parse::<Field>().unwrap().name(), *name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Field::ALL.len());
        assert!(
            "nothing"
                .parse::<Field>()
                .unwrap_err()
                .contains("poll-max-ns")
        );
    }

    #[test]
    fn lists_of_fields() {
        let list = |text: &str| text.parse::<FieldList>().map(|it| it.fields);
        assert_eq!(list("cpu,guest,cpu"), Ok(vec![Field::Cpu, Field::Guest]));
        assert_eq!(list("+on").unwrap().len(), USUAL.len() + 1);
        assert_eq!(list("+cpu").unwrap(), USUAL);
        assert_eq!(list("all").unwrap(), Field::ALL);
        assert!(list("cpu,").is_err());
    }

    #[test]
    fn values_for_people_and_for_machines() {
        let names = ["/machine/peripheral/blk0/virtio-backend", "m\u{1b}0"];
        let looks = [look("vm0", State::Alive, vec![thread("io0", 0.5, &names)])];
        let row = &rows(&looks, false)[0];
        let now = Instant::now();
        for (field, text, plain) in [
            (Field::Cpu, "50.0%", "50"),
            (Field::Time, "62.50", "62.5"),
            (Field::Guest, "vm0", "vm0"),
            (Field::PollMax, "-", ""),
            (Field::Polling, "-", ""),
            (Field::Held, "2", "2"),
            (Field::Affinity, "0-3", "0-3"),
            (
                Field::Holders,
                "/machine/peripheral/blk0/virtio-backend m<U+001B>0",
                "/machine/peripheral/blk0/virtio-backend m\u{1b}0",
            ),
        ] {
            assert_eq!(field.text(row, now), text);
            assert_eq!(field.plain(row, now), plain);
        }
        // Where a loop tells it, work and polling are told apart, and there are columns for them.
        let mut polls = thread("io0", 0.75, &[]);
        polls.loop_usage = Some(LoopUsage {
            dispatching: 0.125,
            polling: 0.625,
            blocked: 0.25,
            events: 1_000.0,
            poll_hits: Some(0.5),
        });
        let polls = &rows(&[look("vm0", State::Alive, vec![polls])], false)[0];
        for (field, text) in [
            (Field::Dispatching, "12.5%"),
            (Field::Polling, "62.5%"),
            (Field::Blocked, "25.0%"),
            (Field::Events, "1000"),
            (Field::PollHits, "50.0%"),
        ] {
            assert_eq!(field.text(polls, now), text);
            assert!(
                FieldList::default()
                    .columns(&[row, polls])
                    .contains(&Field::Polling)
            );
            assert!(!FieldList::default().columns(&[row]).contains(&field));
            assert!(FieldList::all().columns(&[row]).contains(&field));
        }
        assert_eq!(Field::Holders.brief(row, now, 80), "blk0 m<U+001B>0");
        assert_eq!(Field::Holders.brief(row, now, 3), "blk0");
    }
}
