//! The metrics, by the conventions of Prometheus: base units, totals, and labels of few values.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use iothread_metrics::{Labels, Metric, Page, counters, gauges, infos, label, names, render};

use super::series::{Guest, Series, ThreadSeries};
use crate::facts::{EventLoop, Kernel, Standing};
use crate::sample::State;

/// The text of OpenMetrics.
pub(super) fn page(series: Series, now: Instant) -> Result<String, fmt::Error> {
    let metrics = Metrics { series, now };
    render(move |page| {
        metrics.guests(page)?;
        metrics.threads(page)?;
        metrics.loops(page)?;
        metrics.holders(page)?;
        metrics.left_out(page)
    })
}

#[derive(Debug)]
struct Metrics {
    series: Series,
    now: Instant,
}

/// Something that the kernel counts.
type Count = fn(&Kernel) -> f64;

/// Something that an event loop counts.
type LoopCount = fn(&EventLoop) -> f64;

impl Metrics {
    fn all_guests(&self) -> impl Iterator<Item = &Guest> {
        self.series.guests.iter()
    }

    fn all_threads(&self) -> impl Iterator<Item = (&str, &ThreadSeries)> {
        self.all_guests()
            .flat_map(|guest| guest.threads.iter().map(|it| (guest.label.as_str(), it)))
    }

    fn guests(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let up = Metric::count(
            "iothread_guest_up",
            "Whether the guest answered the last look",
        );
        let all = self.all_guests();
        let values = all.map(|it| {
            let is_up = it.look.state.is_fresh();
            ([("guest", it.label.as_str())], f64::from(u8::from(is_up)))
        });
        gauges(page, &up, values)?;

        let about = Metric::count(
            "iothread_guest_state",
            "1 for the state that the guest is in",
        );
        let values = self.all_guests().flat_map(|it| {
            State::ALL.into_iter().map(move |state| {
                let labels = [("guest", it.label.as_str()), ("state", state.name())];
                (labels, f64::from(u8::from(it.look.state == state)))
            })
        });
        gauges(page, &about, values)?;

        let about = Metric::seconds(
            "iothread_guest_state_age",
            "How long it has been in this state",
        );
        let age = |then: Instant| self.now.saturating_duration_since(then).as_secs_f64();
        let values = self.all_guests();
        let values = values.map(|it| ([("guest", it.label.as_str())], age(it.look.since)));
        gauges(page, &about, values)?;

        let about = Metric::seconds("iothread_guest_answer_age", "How long ago it answered last");
        let values = self.all_guests().filter_map(|it| {
            let answered = it.look.answered?;
            Some(([("guest", it.label.as_str())], age(answered)))
        });
        gauges(page, &about, values)?;

        let about = Metric::seconds(
            "iothread_guest_look_duration",
            "How long the last look took",
        );
        let values = self.all_guests().filter_map(|it| {
            let facts = it.look.fresh()?;
            Some(([("guest", it.label.as_str())], facts.took.as_secs_f64()))
        });
        gauges(page, &about, values)?;

        let about = Metric::count("iothread_guest_looks", "How often it was looked at");
        let values = self.all_guests();
        let values = values.map(|it| ([("guest", it.label.as_str())], it.look.n_looks as f64));
        counters(page, &about, values)?;

        let about = Metric::count("iothread_guest", "Where the guest is, and its version");
        let texts: Vec<_> = self
            .all_guests()
            .filter_map(|it| {
                let server = label(&it.look.fresh()?.server);
                Some((&it.label, label(&it.look.target.to_string()), server))
            })
            .collect();
        let values = texts.iter().map(|(guest, target, server)| {
            [
                ("guest", guest.as_str()),
                ("target", target.as_str()),
                ("server", server.as_str()),
            ]
        });
        infos(page, &about, values)?;

        let about = Metric::count(
            "iothread_unnamed_threads",
            "Threads of the guest that nobody accounts for and that have no name, as deleted IOThreads may not",
        );
        let values = self.all_guests().filter_map(|it| {
            let n_unnamed = it.look.fresh()?.n_unnamed?;
            Some(([("guest", it.label.as_str())], n_unnamed as f64))
        });
        gauges(page, &about, values)?;

        let about = Metric::count(
            "iothread_main_loop_disks",
            "Disks that could run on an IOThread and run in the main loop",
        );
        let values = self.all_guests().filter_map(|it| {
            let devices = it.look.fresh()?.devices.iter();
            let here = devices.filter(|it| it.can_move && it.places.is_empty());
            let n_disks: usize = here.map(|it| it.disks.len()).sum();
            Some(([("guest", it.label.as_str())], n_disks as f64))
        });
        gauges(page, &about, values)
    }

    fn threads(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let labels = |(guest, it): &(&'_ str, &'_ ThreadSeries)| -> (String, String) {
            ((*guest).to_owned(), it.label.clone())
        };
        let counted: Vec<((String, String), Kernel)> = self
            .all_threads()
            .filter_map(|it| Some((labels(&it), it.1.thread.kernel.clone()?)))
            .collect();
        let one = |value: Count| {
            counted.iter().map(move |((guest, iothread), kernel)| {
                let labels = [("guest", guest.as_str()), ("iothread", iothread.as_str())];
                (labels, value(kernel))
            })
        };
        let two = |name: &'static str, values: [(&'static str, Count); 2]| {
            counted.iter().flat_map(move |((guest, iothread), kernel)| {
                values.map(|(part, value)| {
                    let labels = [
                        ("guest", guest.as_str()),
                        ("iothread", iothread.as_str()),
                        (name, part),
                    ];
                    (labels, value(kernel))
                })
            })
        };
        let values = two(
            "mode",
            [
                ("user", |it| it.user.as_secs_f64()),
                ("system", |it| it.system.as_secs_f64()),
            ],
        );
        counters(page, &names::CPU, values)?;
        let delayed = one(|it| it.delayed.as_secs_f64());
        counters(page, &names::RUN_DELAY, delayed)?;
        let values = two(
            "kind",
            [
                ("voluntary", |it| it.voluntary as f64),
                ("forced", |it| it.forced as f64),
            ],
        );
        counters(page, &names::CONTEXT_SWITCHES, values)?;
        let last = one(|it| f64::from(it.last_cpu));
        gauges(page, &names::LAST_CPU, last)?;

        let values = self.all_threads().filter_map(|(guest, it)| {
            let nanoseconds = u64::try_from(it.thread.poll_max_ns?).ok()?;
            let labels = [("guest", guest), ("iothread", it.label.as_str())];
            Some((labels, Duration::from_nanos(nanoseconds).as_secs_f64()))
        });
        gauges(page, &names::POLL_MAX, values)?;

        let about = Metric::count(
            "iothread_deleted",
            "1 for an IOThread that was deleted while in use and still runs",
        );
        let values = self.all_threads().filter_map(|(guest, it)| {
            let labels = [("guest", guest), ("iothread", it.label.as_str())];
            match it.thread.standing {
                Standing::Deleted => Some((labels, 1.0)),
                Standing::Listed | Standing::Internal => None,
            }
        });
        gauges(page, &about, values)
    }

    /// What event loops say of themselves.
    fn loops(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let told: Vec<(&str, &str, &EventLoop)> = self
            .all_threads()
            .filter_map(|(guest, it)| {
                Some((guest, it.label.as_str(), it.thread.event_loop.as_ref()?))
            })
            .collect();
        fn parts<'l, const N: usize>(
            told: &[(&'l str, &'l str, &'l EventLoop)],
            name: &'static str,
            values: [(&'static str, LoopCount); N],
        ) -> impl Iterator<Item = (Labels<'l, 3>, f64)> {
            told.iter().flat_map(move |(guest, iothread, told)| {
                values.map(|(part, value)| {
                    let labels = [("guest", *guest), ("iothread", *iothread), (name, part)];
                    (labels, value(told))
                })
            })
        }
        let phases = [
            (
                "dispatching",
                (|it| it.dispatching.as_secs_f64()) as LoopCount,
            ),
            ("polling", |it| it.polling.as_secs_f64()),
            ("blocked", |it| it.blocked.as_secs_f64()),
        ];
        counters(page, &names::LOOP, parts(&told, "phase", phases))?;
        let kinds = [
            ("fd", (|it| it.fd_events as f64) as LoopCount),
            ("bottom-half", |it| it.bottom_halves as f64),
            ("posted", |it| it.posted as f64),
            ("timer", |it| it.timers as f64),
        ];
        counters(page, &names::LOOP_EVENTS, parts(&told, "kind", kinds))?;
        let outcomes = [
            ("hit", (|it| it.poll_hits as f64) as LoopCount),
            ("miss", |it| it.poll_misses as f64),
        ];
        counters(page, &names::POLLS, parts(&told, "outcome", outcomes))
    }

    fn holders(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let values = self.all_threads().flat_map(|(guest, it)| {
            let labels = move |kind| {
                [
                    ("guest", guest),
                    ("iothread", it.label.as_str()),
                    ("kind", kind),
                ]
            };
            // A thread without holders is told, too.
            let none = it.kinds.is_empty().then_some((labels("qom-object"), 0.0));
            let some = it.kinds.iter();
            let some = some.map(move |(kind, count)| (labels(kind.as_str()), *count as f64));
            some.chain(none)
        });
        gauges(page, &names::HOLDERS, values)?;
        let values = self.all_threads().flat_map(|(guest, it)| {
            it.infos.iter().map(move |holder| {
                [
                    ("guest", guest),
                    ("iothread", it.label.as_str()),
                    ("kind", holder.kind.as_str()),
                    ("holder", holder.name.as_str()),
                ]
            })
        });
        infos(page, &names::HOLDER, values)
    }

    /// What there was no room for, so that nobody takes the rest for all.
    fn left_out(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let series = &self.series;
        let values = [
            ([("what", "guests")], series.n_guests_left_out as f64),
            ([("what", "threads")], series.n_threads_left_out as f64),
            ([("what", "holders")], series.n_infos_left_out as f64),
        ];
        gauges(page, &names::LEFT_OUT, values.into_iter())?;
        let about = Metric::count("iothread_exporter", "The version of the exporter");
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        infos(page, &about, std::iter::once(version))
    }
}

/// A page for people who come by.
pub(super) fn front_page(n_guests: usize) -> String {
    let mut page = String::from("iothread-top exporter\n\n");
    let _ = writeln!(
        page,
        "{n_guests} guests are looked at. Their metrics are at /metrics."
    );
    page
}

#[cfg(test)]
mod tests {
    use super::super::series::Limits;
    use super::super::series::tests::{look, thread};
    use super::*;

    /// Nothing that a guest says ends a label, begins a line, or steers a terminal.
    #[test]
    fn labels_of_odd_names() {
        let odd = "a\"b\\c\nd\u{1b}[2J\u{202e}";
        let looks = vec![look(odd, "/a", vec![thread(odd, &[(odd, odd)])])];
        let series = Series::new(looks, 0, Limits { n_infos: 10 });
        let text = page(series, Instant::now()).unwrap();
        let shown = r#"a\"b\\c<U+000A>d<U+001B>[2J<U+202E>"#;
        let line = format!(
            "iothread_holder_info{{guest=\"{shown}\",iothread=\"{shown}\",kind=\"{shown}\",holder=\"{shown}\"}} 1"
        );
        assert!(text.lines().any(|it| it == line), "{text}");
        assert!(
            text.chars().all(|it| it == '\n' || !it.is_control()),
            "{text}"
        );
    }
}
