//! A round as an object of JSON on a line.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::Show;
use crate::facts::{Facts, Holder, Standing};
use crate::sample::Look;
use crate::view::{printable, rows};

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
    /// Seconds since it went, or was missed.
    age: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'l str>,
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
    to_line(&round)
}

/// A value on a line. What would steer a terminal, or is not to be seen, is escaped; it stands in strings alone.
pub(crate) fn to_line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("keys are strings");
    let mut line = String::with_capacity(text.len() + 1);
    for ch in text.chars() {
        if is_plain(ch) {
            line.push(ch);
            continue;
        }
        for unit in ch.encode_utf16(&mut [0; 2]) {
            line.push_str(&format!("\\u{unit:04x}"));
        }
    }
    line.push('\n');
    line
}

/// Whether it is shown as it is.
fn is_plain(ch: char) -> bool {
    matches!(ch, ' '..='~') || printable(ch.encode_utf8(&mut [0; 4])).chars().eq([ch])
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
                by: it.by.as_deref(),
                to: it.to.as_deref(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::to_line;

    #[test]
    fn nothing_in_a_line_steers_a_terminal() {
        let text = "a\u{1b}[2J\u{9b}m\u{7f}\n\u{202e}線";
        let line = to_line(&text);
        assert_eq!(line, "\"a\\u001b[2J\\u009bm\\u007f\\n\\u202e線\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
