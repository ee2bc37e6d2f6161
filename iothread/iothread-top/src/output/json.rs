//! A round as an object of JSON on a line.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::Show;
use crate::facts::{Facts, Holder, Standing};
use crate::sample::Look;
use crate::view::rows;

#[derive(Serialize)]
struct Round<'l> {
    /// Seconds since 1970.
    time: f64,
    guests: Vec<Guest<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Guest<'l> {
    guest: String,
    target: String,
    state: &'static str,
    /// Seconds in this state.
    age: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'l str,
    /// How many looks there were.
    looks: u64,
    /// Seconds since it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<f64>,
    #[serde(flatten)]
    facts: Option<Facts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone_holders: Vec<Gone<'l>>,
}

#[derive(Serialize)]
struct Gone<'l> {
    iothread: &'l str,
    holder: &'l Holder,
    /// Seconds since it was missed.
    age: f64,
}

/// All that is known of the guests of which rows are shown, with those threads that are.
pub(super) fn line(looks: &[Arc<Look>], show: &Show, now: Instant) -> String {
    let mut shown = rows(looks, show.shows_internal);
    show.filter.apply(&mut shown, now);
    let guests = looks.iter().filter_map(|look| {
        let rows: Vec<_> = shown
            .iter()
            .filter(|row| Arc::ptr_eq(&row.look, look))
            .collect();
        let facts = look.fresh().cloned().map(|mut facts| {
            facts.threads = rows
                .iter()
                .filter_map(|it| it.thread().cloned())
                .filter(|it| show.shows_internal || it.standing != Standing::Internal)
                .collect();
            facts
        });
        (!rows.is_empty()).then(|| guest(look, facts, now))
    });
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let round = Round {
        time: since.unwrap_or_default().as_secs_f64(),
        guests: guests.collect(),
    };
    let mut line = serde_json::to_string(&round).expect("keys are strings");
    line.push('\n');
    line
}

fn guest(look: &Look, facts: Option<Facts>, now: Instant) -> Guest<'_> {
    let age = |then: Instant| now.saturating_duration_since(then).as_secs_f64();
    Guest {
        guest: look.title(),
        target: look.target.to_string(),
        state: look.state.name(),
        age: age(look.since),
        reason: &look.reason,
        looks: look.n_looks,
        answered: look.answered.map(age),
        facts,
        gone_holders: look
            .gone
            .iter()
            .map(|it| Gone {
                iothread: &it.iothread,
                holder: &it.holder,
                age: age(it.when),
            })
            .collect(),
    }
}
