//! What is wrong with how guests use their IOThreads: rules over what was found at one look, each with its code.

mod code;
mod cpus;
mod report;
mod rules;

use std::sync::Arc;

use serde::Serialize;

pub(crate) use self::code::Code;
pub(crate) use self::cpus::CpuSet;
pub(crate) use self::report::{Report, Verdict, explain};
use crate::sample::Look;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) title: &'static str,
    /// The guest; nothing if it is about several.
    pub(crate) guest: Option<String>,
    /// What it is about: IOThreads, devices, or guests.
    pub(crate) subjects: Vec<String>,
    /// What was seen, with figures.
    pub(crate) evidence: String,
    /// What would help.
    pub(crate) remedy: String,
}

impl Finding {
    fn new(code: Code, guest: Option<&Look>, subjects: Vec<String>) -> Self {
        Self {
            code,
            title: code.title(),
            guest: guest.map(Look::title),
            subjects,
            evidence: String::new(),
            remedy: String::new(),
        }
    }

    fn because(mut self, evidence: String) -> Self {
        self.evidence = evidence;
        self
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// The machine that guests run on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    /// The processors that it has; nothing if that is not known.
    pub(crate) online: CpuSet,
}

impl Host {
    pub(crate) fn this() -> Self {
        let online = std::fs::read_to_string("/sys/devices/system/cpu/online");
        Self {
            online: online
                .unwrap_or_default()
                .trim()
                .parse()
                .unwrap_or_default(),
        }
    }
}

/// Applies all rules. What is known of a guest that did not answer is of no use.
pub(crate) fn judge(looks: &[Arc<Look>], host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for look in looks {
        if let Some(facts) = look.fresh() {
            findings.extend(rules::of_guest(look, facts));
        }
    }
    findings.extend(rules::of_host(looks, host));
    findings.sort_by(|a, b| (a.code, &a.guest).cmp(&(b.code, &b.guest)));
    findings
}
