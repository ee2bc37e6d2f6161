//! Names.

use super::findings::{Findings, context};
use crate::ir::{DefinitionKind, Feature, Part, PartRole, Schema};
use crate::naming::stem;

/// Small letters and hyphens, even where an exception permits others.
pub(super) fn check_style(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema.definitions() {
        let name = defined.name();
        if defined.kind() == DefinitionKind::Command && is_unusual(name) {
            let message = format!("command '{name}' uses uppercase or '_' by exception");
            findings.push(message, defined.name_span(), context(&defined));
        }
        // A branch is called like a value, which was reported.
        let is_own = |part: &Part<'_>| {
            part.role() != PartRole::Branch || defined.kind() == DefinitionKind::Alternate
        };
        for part in defined.parts().filter(is_own) {
            if is_unusual(part.name()) {
                let message = format!(
                    "{} '{}' uses uppercase or '_' by exception",
                    part.role().as_str(),
                    part.name()
                );
                findings.push(message, part.span(), context(&defined));
            }
        }
    }
}

/// Whether a name in small letters would need an exception.
pub(super) fn is_unusual(name: &str) -> bool {
    let stem = stem(name).unwrap_or(name);
    stem.contains(|ch: char| ch == '_' || ch.is_ascii_uppercase())
}

/// A prefix `x-` is only a hint for people: programs look for the feature 'unstable'.
pub(super) fn check_unstable(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema.definitions() {
        let name = defined.name();
        let is_unstable = is_marked(defined.header().features());
        if is_experimental(name) && !is_unstable {
            let message = format!("'{name}' lacks the feature 'unstable'");
            findings.push(message, defined.name_span(), context(&defined));
        }
        // What is in an unstable definition is unstable with it.
        if is_unstable {
            continue;
        }
        for part in defined.parts() {
            let is_member = part.role() != PartRole::Branch;
            if is_member && is_experimental(part.name()) && !is_marked(part.features()) {
                let message = format!(
                    "{} '{}' lacks the feature 'unstable'",
                    part.role().as_str(),
                    part.name()
                );
                findings.push(message, part.span(), context(&defined));
            }
        }
    }
}

fn is_experimental(name: &str) -> bool {
    let local = name
        .strip_prefix("__")
        .and_then(|rest| rest.split_once('_'));
    let local = local.map_or(name, |(_, local)| local);
    local.starts_with("x-")
}

fn is_marked(features: &[Feature]) -> bool {
    features.iter().any(|feature| feature.name() == "unstable")
}
