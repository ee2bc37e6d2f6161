//! Who is how busy.

use super::{BUSY, Code, FAR, Finding, Guest, SATURATED, percent};
use crate::facts::Thread;

pub(super) fn saturated(guest: &Guest<'_>) -> Vec<Finding> {
    let loads: Vec<(&Thread, f64)> = guest
        .threads
        .iter()
        .filter_map(|it| Some((*it, it.load()?)))
        .collect();
    let idlest = loads
        .iter()
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .filter(|(_, load)| *load < BUSY);
    let Some((idlest, least)) = idlest else {
        return Vec::new();
    };
    let full = loads.iter().filter(|(_, load)| *load >= SATURATED);
    let finding = |(thread, most): &(&Thread, f64)| {
        let evidence = format!(
            "{} was busy for {} of the time, {} for {}",
            thread.id,
            percent(*most),
            idlest.id,
            percent(*least)
        );
        let finding = guest.finding(Code::SaturatedThread, vec![thread.id.clone()]);
        finding
            .because(evidence)
            .remedy(remedy(thread, *most, &idlest.id, *least))
    };
    full.map(finding).collect()
}

/// What moving one holder, or half of the queues, would give.
fn remedy(thread: &Thread, most: f64, idlest: &str, least: f64) -> String {
    let holders = thread.holders.as_deref().unwrap_or_default();
    let after = |n_parts: f64| {
        let part = most / n_parts;
        format!(
            "{} would be busy for {} and {idlest} for {}",
            thread.id,
            percent(most - part),
            percent(least + part)
        )
    };
    match holders {
        [] => format!("move work of {} to {idlest}", thread.id),
        [one] => format!(
            "spread the queues of {} over {} and {idlest} with iothread-vq-mapping: {}",
            one.name,
            thread.id,
            after(2.0)
        ),
        [first, ..] => format!(
            "move one of {} holders, such as {}, to {idlest}: {}",
            holders.len(),
            first.name,
            after(holders.len() as f64)
        ),
    }
}

/// Threads whose loops take up a processor for little.
pub(super) fn polling(guest: &Guest<'_>) -> Vec<Finding> {
    let finding = |thread: &&Thread| {
        let told = thread.loop_usage?;
        if told.polling < BUSY || told.polling < FAR * told.dispatching {
            return None;
        }
        let mut evidence = format!(
            "{} polled for {} of the time and worked for {}",
            thread.id,
            percent(told.polling),
            percent(told.dispatching)
        );
        if let Some(hits) = told.poll_hits {
            evidence.push_str(&format!("; {} of its polls found something", percent(hits)));
        }
        let limit = thread
            .poll_max_ns
            .map_or_else(String::new, |it| format!(", which is {it}"));
        let remedy = format!(
            "lower poll-max-ns of {}{limit}, with qom-set or where it is made; 0 is without polling",
            thread.id
        );
        let finding = guest.finding(Code::PollingThread, vec![thread.id.clone()]);
        Some(finding.because(evidence).remedy(remedy))
    };
    guest.threads.iter().filter_map(finding).collect()
}
