//! From a text to the answer for each version.

use super::learner::Learner;
use super::{Answer, CompatError, Verdict, log, manifest};
use crate::diff::{Interface, Perspective, compare};

/// What each of `versions` means for the program of which `text` tells, a log or a manifest; `recorded` is the interface of the server
/// with which the log was recorded, if it is known.
///
/// Time and memory are in proportion to the text and the number of versions; of a log one line is in memory, and each place.
///
/// # Errors
///
/// The text is neither, or not a good one; a manifest names what no version has.
pub fn judge(
    text: &str,
    versions: &[&Interface],
    recorded: Option<&Interface>,
) -> Result<Vec<Answer>, CompatError> {
    let mut learners: Vec<Learner<'_>> = versions
        .iter()
        .map(|version| Learner::new(version, recorded))
        .collect();
    match text.trim_start().bytes().next() {
        None => return Err(CompatError::Empty),
        Some(b'{') => log::learn(text, &mut learners)?,
        Some(_) => manifest::learn(text, &mut learners)?,
    }
    Ok(learners.into_iter().map(answer).collect())
}

fn answer(learner: Learner<'_>) -> Answer {
    let known = learner.finish();
    let changes = compare(&known, learner.version, Perspective::Program);
    Answer {
        verdict: Verdict::of(&changes),
        n_commands: known.commands.len(),
        n_events: known.events.len(),
        changes,
    }
}
