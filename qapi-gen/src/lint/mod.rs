//! Rules of style that the reference lacks. Each is off until a level is set for it.
//!
//! A lint looks at a checked schema, so it never meets one of its mistakes. The two rules of
//! style that the reference knows are checked while comments are read.

mod documentation;
mod example;
mod exceptions;
mod findings;
mod markup;
mod names;
mod usage;

use crate::diagnostic::{Level, Lint, LintLevels, Report};
use crate::ir::Schema;

use findings::Findings;

/// A lint: what it is called, and what looks for it.
type Check = fn(&Schema, &mut Findings<'_>);

const CHECKS: [(Lint, Check); 11] = [
    (Lint::UnusedType, usage::check_types),
    (Lint::MissingSince, documentation::check_since),
    (Lint::NameUnderscore, names::check_style),
    (Lint::UnstableWithoutFeature, names::check_unstable),
    (Lint::UnusedException, exceptions::check),
    (Lint::MissingDocumentation, documentation::check_presence),
    (Lint::OpenTodo, documentation::check_todo),
    (Lint::RedundantCondition, usage::check_conditions),
    (Lint::DocMarkup, markup::check_markup),
    (Lint::DocReference, markup::check_references),
    (Lint::DocExample, example::check),
];

/// Whether any lint would look at a schema.
pub(crate) fn is_enabled(levels: &LintLevels) -> bool {
    CHECKS
        .iter()
        .any(|(lint, _)| levels.level(*lint) > Level::Allow)
}

/// Runs every lint that is wanted.
pub(crate) fn check(schema: &Schema, report: &mut Report) {
    for (lint, check) in CHECKS {
        if report.wants(lint) {
            check(schema, &mut Findings { lint, report });
        }
    }
}
