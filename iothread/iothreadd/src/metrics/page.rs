//! The metrics as text. `iothread_metrics` has the names of those that others tell, too.

use std::fmt;
use std::time::Duration;

use iothread::{HolderKind, LoopStats};
use iothread_metrics::kernel::Counts;
use iothread_metrics::{
    Histogram, Labels, Metric, Page, counters, gauges, histograms, infos, names, render as text,
};

use super::found::{Found, Thread};
use crate::block::Kind;
use crate::latency::Counted;

const EXPORT_REQUESTS: Metric = Metric::count(
    "iothread_export_requests",
    "Requests of clients of an export that are over, and how they ended",
);
const EXPORT_BYTES: Metric = Metric::bytes(
    "iothread_export",
    "How much the requests were about that were carried out",
);
const EXPORT_DURATION: Metric = Metric::seconds(
    "iothread_export_request_duration",
    "How long requests took that were carried out, from where they reach the node",
);
const COMMANDS: Metric = Metric::count(
    "iothread_qmp_commands",
    "QMP commands that are over, and how they ended",
);
const COMMAND_DURATION: Metric = Metric::seconds(
    "iothread_qmp_command_duration",
    "How long QMP commands took, from the begin of their execution",
);

/// The kinds of holders that there are here.
const KINDS: [HolderKind; 4] = [
    HolderKind::QOM_OBJECT,
    HolderKind::BLOCK_NODE,
    HolderKind::BLOCK_EXPORT,
    HolderKind::MONITOR,
];

/// The text of OpenMetrics.
pub(super) fn render(found: Found) -> Result<String, fmt::Error> {
    text(move |page| {
        found.server(page)?;
        found.kernel(page)?;
        found.loops(page)?;
        found.holders(page)?;
        found.exports(page)?;
        found.commands(page)
    })
}

/// Something that is counted of each thread.
type Of<T> = fn(&T) -> f64;

impl Found {
    fn server(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let about = Metric::count("iothreadd", "The version and the name of the server");
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("name", self.name.as_str()),
        ];
        infos(page, &about, [labels].into_iter())?;
        let left_out = [
            ("threads", self.n_threads_left_out),
            ("holders", self.n_holders_left_out),
            ("exports", self.n_exports_left_out),
        ];
        let values = left_out.map(|(what, count)| ([("what", what)], count as f64));
        gauges(page, &names::LEFT_OUT, values.into_iter())
    }

    fn kernel(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let counted = || {
            let threads = self.threads.iter();
            threads.filter_map(|it| Some((it.id.as_str(), it.kernel.as_ref()?)))
        };
        let one =
            |value: Of<Counts>| counted().map(move |(id, it)| ([("iothread", id)], value(it)));
        let modes: [(&str, Of<Counts>); 2] = [
            ("user", |it| it.user.as_secs_f64()),
            ("system", |it| it.system.as_secs_f64()),
        ];
        let values = counted().flat_map(|(id, it)| by(id, "mode", &modes, it));
        counters(page, &names::CPU, values)?;
        counters(page, &names::RUN_DELAY, one(|it| it.delayed.as_secs_f64()))?;
        let kinds: [(&str, Of<Counts>); 2] = [
            ("voluntary", |it| it.voluntary as f64),
            ("forced", |it| it.forced as f64),
        ];
        let values = counted().flat_map(|(id, it)| by(id, "kind", &kinds, it));
        counters(page, &names::CONTEXT_SWITCHES, values)?;
        gauges(page, &names::LAST_CPU, one(|it| f64::from(it.last_cpu)))
    }

    fn loops(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let one = |value: Of<Thread>| {
            let threads = self.threads.iter();
            threads.map(move |it| ([("iothread", it.id.as_str())], value(it)))
        };
        let phases: [(&str, Of<LoopStats>); 3] = [
            ("dispatching", |it| it.busy.as_secs_f64()),
            ("polling", |it| it.polled.as_secs_f64()),
            ("blocked", |it| it.slept.as_secs_f64()),
        ];
        let threads = self.threads.iter();
        let values = threads.flat_map(|it| by(&it.id, "phase", &phases, &it.stats));
        counters(page, &names::LOOP, values)?;
        let outcomes: [(&str, Of<LoopStats>); 2] = [
            ("hit", |it| it.successful_polls as f64),
            ("miss", |it| {
                it.polls.saturating_sub(it.successful_polls) as f64
            }),
        ];
        let threads = self.threads.iter();
        let values = threads.flat_map(|it| by(&it.id, "outcome", &outcomes, &it.stats));
        counters(page, &names::POLLS, values)?;
        let kinds: [(&str, Of<LoopStats>); 4] = [
            ("fd", |it| it.fd_events as f64),
            ("bottom-half", |it| it.bottom_halves as f64),
            ("posted", |it| it.posted as f64),
            ("timer", |it| it.timers as f64),
        ];
        let threads = self.threads.iter();
        let values = threads.flat_map(|it| by(&it.id, "kind", &kinds, &it.stats));
        counters(page, &names::LOOP_EVENTS, values)?;
        counters(page, &names::LOOP_SLEEPS, one(|it| it.stats.sleeps as f64))?;
        let now = one(|it| it.stats.poll_time.as_secs_f64());
        gauges(page, &names::POLL_TIME, now)?;
        let most = one(|it| {
            let nanoseconds = u64::try_from(it.poll_max_ns).unwrap_or(0);
            Duration::from_nanos(nanoseconds).as_secs_f64()
        });
        gauges(page, &names::POLL_MAX, most)
    }

    fn holders(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let values = self.threads.iter().flat_map(|it| {
            KINDS.map(|kind| {
                let labels = [("iothread", it.id.as_str()), ("kind", kind.as_str())];
                (labels, it.counts.of(kind) as f64)
            })
        });
        gauges(page, &names::HOLDERS, values)?;
        let values = self.threads.iter().flat_map(|it| {
            it.holders.iter().map(|(kind, holder)| {
                [
                    ("iothread", it.id.as_str()),
                    ("kind", *kind),
                    ("holder", holder.as_str()),
                ]
            })
        });
        infos(page, &names::HOLDER, values)
    }

    fn exports(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let counts: Vec<_> = self
            .exports
            .iter()
            .flat_map(|it| {
                Kind::ALL.map(|kind| {
                    let labels = [
                        ("export", it.id.as_str()),
                        ("type", it.r#type.as_str()),
                        ("operation", operation(kind)),
                    ];
                    (labels, it.totals.of(kind))
                })
            })
            .collect();
        let values = counts.iter().flat_map(|(labels, count)| {
            let [export, kind, operation] = *labels;
            let outcomes = [("done", count.done.count()), ("failed", count.n_failed)];
            outcomes.map(|(outcome, count)| {
                let labels = [export, kind, operation, ("outcome", outcome)];
                (labels, count as f64)
            })
        });
        counters(page, &EXPORT_REQUESTS, values)?;
        let values = counts.iter();
        let values = values.map(|(labels, count)| (*labels, count.bytes as f64));
        counters(page, &EXPORT_BYTES, values)?;
        // What is never asked for needs no histogram.
        let asked = counts.iter().filter(|(_, count)| count.done.count() > 0);
        let values = asked.map(|(labels, count)| (*labels, histogram(&count.done)));
        histograms(page, &EXPORT_DURATION, values)
    }

    fn commands(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let known = self.calls.iter().flat_map(|it| {
            [("success", it.n_done), ("error", it.n_failed)].map(|(outcome, count)| {
                let labels = [("command", it.name), ("outcome", outcome)];
                (labels, count as f64)
            })
        });
        let unknown = (
            [("command", ""), ("outcome", "error")],
            self.n_unknown_calls as f64,
        );
        counters(page, &COMMANDS, known.chain([unknown]))?;
        let values = self.calls.iter();
        let values = values.map(|it| ([("command", it.name)], histogram(&it.over)));
        histograms(page, &COMMAND_DURATION, values)
    }
}

/// What is counted of a thread, in parts that a label tells apart.
fn by<'l, T, const N: usize>(
    id: &'l str,
    label: &'static str,
    parts: &[(&'static str, Of<T>); N],
    of: &T,
) -> [(Labels<'l, 2>, f64); N] {
    parts.map(|(part, value)| ([("iothread", id), (label, part)], value(of)))
}

fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "read",
        Kind::Write => "write",
        Kind::Flush => "flush",
        Kind::Unmap => "discard",
    }
}

fn histogram(counted: &Counted) -> Histogram {
    Histogram {
        sum: Duration::from_nanos(counted.nanoseconds).as_secs_f64(),
        buckets: counted.buckets().collect(),
    }
}
