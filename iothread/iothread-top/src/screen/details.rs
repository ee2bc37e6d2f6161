//! All about one row.

use std::time::Instant;

use crate::facts::{Holder, Origin, Thread};
use crate::sample::Look;
use crate::view::{Row, padded, printable, seconds};

/// Columns of the terminal for what a holder is.
const KIND_WIDTH: usize = 14;

/// The lines about a row. Each is made when it is asked for: a thread may have thousands of holders.
pub(super) fn lines(row: &Row, now: Instant) -> impl Iterator<Item = String> {
    let head = head(&row.look, row.thread(), now);
    let holders = row.holders().unwrap_or_default().iter();
    let holders = holders.flat_map(|holder| {
        let disks = holder.disks.iter().map(|disk| {
            let file = disk.file.as_deref().unwrap_or("no file");
            format!("    {}: {file}, node {}", disk.device, disk.node)
        });
        std::iter::once(named(holder)).chain(disks)
    });
    let id = row.thread().map(|it| it.id.as_str());
    let gone = row
        .look
        .gone
        .iter()
        .filter(move |it| id == Some(&it.iothread));
    let gone = gone.map(move |it| {
        let age = seconds(now.saturating_duration_since(it.when));
        let by = it.by.as_ref().map(|by| format!(", by {by}"));
        let to = it.to.as_ref().map(|to| format!(", to {to}"));
        let (by, to) = (by.unwrap_or_default(), to.unwrap_or_default());
        format!("gone {age} ago{to}{by}: {}", named(&it.holder))
    });
    let notes = row.look.fresh().into_iter().flat_map(|it| &it.notes);
    let notes = notes.map(|note| format!("note: {note}"));
    head.into_iter()
        .chain(holders)
        .chain(gone)
        .chain(notes)
        .map(|line| printable(&line))
}

/// How many lines there are.
pub(super) fn count(row: &Row, now: Instant) -> usize {
    let n_holders = row.holders().map_or(0, |holders| {
        holders.iter().map(|it| 1 + it.disks.len()).sum()
    });
    let id = row.thread().map(|it| it.id.as_str());
    let n_gone = row.look.gone.iter().filter(|it| id == Some(&it.iothread));
    let n_notes = row.look.fresh().map_or(0, |it| it.notes.len());
    head(&row.look, row.thread(), now).len() + n_holders + n_gone.count() + n_notes
}

fn named(holder: &Holder) -> String {
    let queues = holder.queues.as_ref().map_or_else(String::new, |queues| {
        let numbers: Vec<String> = queues.iter().map(u32::to_string).collect();
        match numbers.is_empty() {
            true => ", no queue".to_owned(),
            false => format!(", queues {}", numbers.join(",")),
        }
    });
    format!(
        "{}{}{queues}",
        padded(&holder.kind, KIND_WIDTH),
        holder.name
    )
}

fn head(look: &Look, thread: Option<&Thread>, now: Instant) -> Vec<String> {
    let age = |then: Instant| seconds(now.saturating_duration_since(then));
    let mut lines = Vec::new();
    let (title, target) = (look.title(), look.target.to_string());
    let named = match title == target {
        true => title,
        false => format!("{title} at {target}"),
    };
    let mut guest = format!("{named}: {} for {}", look.state.name(), age(look.since));
    if !look.reason.is_empty() {
        guest.push_str(&format!(", {}", look.reason));
    }
    if let Some(answered) = look.answered
        && !look.state.is_fresh()
    {
        guest.push_str(&format!(", answered {} ago", age(answered)));
    }
    lines.push(guest);
    let Some(facts) = look.fresh() else {
        return lines;
    };
    let process = facts.process.map(|it| format!(", process {it}"));
    lines.push(format!(
        "version {}{}",
        facts.server,
        process.unwrap_or_default()
    ));
    if let Some(n_unnamed @ 1..) = facts.n_unnamed {
        lines.push(format!(
            "{n_unnamed} threads without a name, a deleted IOThread may be one"
        ));
    }
    let Some(thread) = thread else {
        return lines;
    };
    let mut line = format!("{}: thread ", thread.id);
    match thread.thread_id {
        Some(number) => line.push_str(&number.to_string()),
        None => line.push_str("of an unknown number"),
    }
    if let Some(limit) = thread.poll_max_ns {
        line.push_str(&format!(", polls at most {limit} ns"));
    }
    if let Some(kernel) = &thread.kernel {
        line.push_str(&format!(
            ", on CPU {}, may use {}",
            kernel.last_cpu, kernel.affinity
        ));
        line.push_str(&format!(", {:.2} s in all", kernel.ran.as_secs_f64()));
    }
    lines.push(line);
    if let Some(usage) = thread.usage {
        let part = |part: f64| format!("{:.1}%", part * 100.0);
        lines.push(format!(
            "{} of a CPU: {} user, {} system; {} waiting for one; {:.0} sleeps and {:.0} forced switches a second",
            part(usage.cpu),
            part(usage.user),
            part(usage.system),
            part(usage.delay),
            usage.voluntary,
            usage.forced,
        ));
    }
    if let Some(told) = thread.loop_usage {
        let part = |part: f64| format!("{:.1}%", part * 100.0);
        let hits = told
            .poll_hits
            .map(|it| format!(", {} of its polls found some", part(it)));
        lines.push(format!(
            "its loop: {} work, {} polling, {} asleep; {:.0} events a second{}",
            part(told.dispatching),
            part(told.polling),
            part(told.blocked),
            told.events,
            hits.unwrap_or_default(),
        ));
    }
    lines.push(match (&thread.holders, thread.from) {
        (None, _) => "nobody tells its holders".to_owned(),
        (Some(_), Some(Origin::Told)) => "holders, newest first, as the server tells:".to_owned(),
        (Some(_), Some(Origin::Libvirt)) => "holders, as libvirt describes the guest:".to_owned(),
        (Some(_), Some(Origin::Derived | Origin::Kernel) | None) => {
            "holders, as its devices tell:".to_owned()
        }
    });
    if thread.holders.as_ref().is_some_and(Vec::is_empty) {
        lines.push("none".to_owned());
    }
    lines
}
