//! What is told of findings.

use std::sync::Arc;

use serde::Serialize;

use super::{Code, Finding};
use crate::output::to_line;
use crate::sample::Look;
use crate::view::{counted, printable};

/// The findings, and the guests that nothing can be said about.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    examined: usize,
    unexamined: Vec<Unexamined>,
}

#[derive(Debug, Serialize)]
struct Unexamined {
    guest: String,
    target: String,
    state: &'static str,
    reason: String,
}

/// What scripts go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Well,
    /// Something is.
    Ill,
    /// Nothing is wrong with those guests that answered, and some did not.
    Unknown,
}

impl Report {
    pub(crate) fn new(findings: Vec<Finding>, looks: &[Arc<Look>]) -> Self {
        let silent = looks.iter().filter(|it| !it.state.is_fresh());
        let unexamined: Vec<_> = silent
            .map(|look| Unexamined {
                guest: look.title(),
                target: look.target.to_string(),
                state: look.state.name(),
                reason: look.reason.clone(),
            })
            .collect();
        Self {
            findings,
            examined: looks.len() - unexamined.len(),
            unexamined,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match (self.findings.is_empty(), self.unexamined.is_empty()) {
            (false, _) => Verdict::Ill,
            (true, true) => Verdict::Well,
            (true, false) => Verdict::Unknown,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let guest = finding.guest.as_deref().unwrap_or("this host");
            text.push_str(&format!(
                "{} {}: {}\n  seen:   {}\n  remedy: {}\n\n",
                finding.code,
                printable(guest),
                finding.title,
                printable(&finding.evidence),
                printable(&finding.remedy)
            ));
        }
        for guest in &self.unexamined {
            let line = format!(
                "{} was not examined: {}: {}",
                guest.guest, guest.state, guest.reason
            );
            text.push_str(&format!("{}\n", printable(&line)));
        }
        text.push_str(&format!(
            "{} in {}\n",
            counted(self.findings.len(), "finding"),
            counted(self.examined, "guest")
        ));
        text
    }

    /// For machines: an object on a line.
    pub(crate) fn json(&self) -> String {
        to_line(self)
    }
}

/// What a code means, or a list of all.
pub(crate) fn explain(code: Option<Code>) -> String {
    match code {
        Some(code) => format!("{code}: {}\n\n{}\n", code.title(), code.explanation()),
        None => {
            let lines = Code::ALL.iter().map(|it| format!("{it}  {}\n", it.title()));
            lines.collect()
        }
    }
}
