//! What came of a profile.

use std::fmt;

use serde_json::{Value, json};

use super::profiles::is_right;
use crate::output::shown;
use crate::torment::Profile;

/// What is quoted of what a driver tells, in characters.
const MAX_QUOTE: usize = 300;

/// What came of a profile.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The profile.
    pub profile: Profile,
    /// What a driver told of each step that it took.
    pub told: Vec<Value>,
    /// The first thing that was not right.
    pub mistake: Option<Mistake>,
}

/// Something that was not right.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Mistake {
    /// What came of a step.
    Step {
        /// From 1 on.
        number: usize,
        /// What was to be done.
        step: Value,
        /// What is right.
        right: Value,
        /// What the driver told.
        told: Value,
    },
    /// How often the server heard a command.
    Count {
        /// The command.
        command: String,
        /// How often it came.
        n_heard: usize,
        /// How often is right.
        n_right: usize,
    },
}

impl Verdict {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            told: Vec::new(),
            mistake: None,
        }
    }

    pub(super) fn add(&mut self, n: usize, step: &Value, told: Value) {
        if !is_right(&step["right"], &told) {
            self.mistake.get_or_insert_with(|| Mistake::Step {
                number: n + 1,
                step: step.clone(),
                right: step["right"].clone(),
                told: told.clone(),
            });
        }
        self.told.push(told);
    }

    pub(super) fn count(&mut self, command: &str, n_heard: usize, n_right: usize) {
        self.mistake.get_or_insert_with(|| Mistake::Count {
            command: command.to_owned(),
            n_heard,
            n_right,
        });
    }

    /// Whether everything was right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.mistake.is_none()
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "profile": self.profile.name(),
            "right": self.is_right(),
            "told": self.told,
            "mistake": self.mistake.as_ref().map(ToString::to_string),
        })
    }
}

/// In one line, without controls.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mistake {
            None => write!(f, "{:<22} right", self.profile.name()),
            Some(mistake) => write!(f, "{:<22} WRONG, {mistake}", self.profile.name()),
        }
    }
}

/// In one line, without controls.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step {
                number,
                step,
                right,
                told,
            } => {
                let what = super::member(step, "do");
                let told: String = told.to_string().chars().take(MAX_QUOTE).collect();
                let told = shown(&told);
                write!(f, "step {number}, {what}: {told}, right is {right}")
            }
            Self::Count {
                command,
                n_heard,
                n_right,
            } => write!(
                f,
                "the server heard {command} {n_heard} times, right is {n_right}"
            ),
        }
    }
}
