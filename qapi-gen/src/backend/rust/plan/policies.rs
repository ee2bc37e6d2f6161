//! The special features `deprecated` and `unstable`.

use std::borrow::Cow;

use crate::ir::{Feature, Header};

use super::super::gate::{Gate, reduce};
use super::super::options::Options;
use super::Plan;

/// Which special features there are under a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::rust) struct Policies {
    pub(in crate::backend::rust) gate: Gate,
    pub(in crate::backend::rust) deprecated: bool,
    pub(in crate::backend::rust) unstable: bool,
}

impl Policies {
    /// The constant for them, `None` for none.
    pub(in crate::backend::rust) fn constant(&self, policy: &str) -> Option<String> {
        match (self.deprecated, self.unstable) {
            (false, false) => None,
            (true, false) => Some(format!("{policy}::DEPRECATED")),
            (false, true) => Some(format!("{policy}::UNSTABLE")),
            (true, true) => Some(format!("{policy}::BOTH")),
        }
    }
}

/// The policy of what has no special feature, which is most.
static NONE: [Policies; 1] = [Policies {
    gate: Gate::ALWAYS,
    deprecated: false,
    unstable: false,
}];

/// The special features among `features`, one case for each way in which open conditions fall.
pub(super) fn policies(features: &[Feature], options: &Options) -> Cow<'static, [Policies]> {
    if features.is_empty() {
        return Cow::Borrowed(&NONE);
    }
    let mut cases = NONE.to_vec();
    for feature in features {
        let is_deprecated = feature.name() == "deprecated";
        if !is_deprecated && feature.name() != "unstable" {
            continue;
        }
        let Some(gate) = reduce(feature.condition(), &options.configuration) else {
            continue;
        };
        let mut next = Vec::new();
        for case in cases {
            if let Some(without) = gate.negated() {
                next.push(Policies {
                    gate: case.gate.and(&without),
                    ..case.clone()
                });
            }
            next.push(Policies {
                gate: case.gate.and(&gate),
                deprecated: case.deprecated || is_deprecated,
                unstable: case.unstable || !is_deprecated,
            });
        }
        cases = next;
    }
    Cow::Owned(cases)
}

/// When something is deprecated, `None` for never.
pub(in crate::backend::rust) fn deprecation(cases: &[Policies]) -> Option<Gate> {
    let deprecated = cases.iter().filter(|case| case.deprecated);
    let gates: Vec<Gate> = deprecated.map(|case| case.gate.clone()).collect();
    (!gates.is_empty()).then(|| Gate::any(&gates))
}

/// The special features of a command or event.
pub(in crate::backend::rust) fn header_policies(
    plan: &Plan<'_>,
    features: &[Feature],
) -> Cow<'static, [Policies]> {
    policies(features, plan.options)
}

impl Plan<'_> {
    /// When a command or event is deprecated.
    pub(in crate::backend::rust) fn header_deprecation(&self, header: &Header) -> Option<Gate> {
        deprecation(&policies(header.features(), self.options))
    }
}
