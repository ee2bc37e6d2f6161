//! What a schema or the options ask for and Rust cannot have.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Diagnostic, Related};
use crate::source::Span;

use super::Planner;

impl Planner<'_> {
    /// Reports names of one namespace that become one Rust name; returns all of them.
    pub(super) fn check_distinct<'n>(
        &mut self,
        what: &str,
        names: impl Iterator<Item = (&'n str, &'n str, Option<Span>)>,
    ) -> HashSet<&'n str> {
        let mut seen: HashMap<&str, (&str, Option<Span>)> = HashMap::new();
        for (rust, name, span) in names {
            let Some(&(first, first_span)) = seen.get(rust) else {
                seen.insert(rust, (name, span));
                continue;
            };
            let message =
                format!("{what} '{name}' and {what} '{first}' both become '{rust}' in Rust");
            let mut error = match span {
                Some(span) => Diagnostic::new(Code::RustNameCollision, message, span),
                None => Diagnostic::unplaced(Code::RustNameCollision, message),
            };
            if let Some(span) = first_span {
                let message = format!("{what} '{first}'");
                error = error.with_related(Related {
                    span,
                    message,
                    line: None,
                    definition: None,
                });
            }
            self.errors.push(error);
        }
        seen.into_keys().collect()
    }

    /// Options that name something must name something there is.
    pub(super) fn check_options(&mut self) {
        let is_type = |name: &str| {
            let mut named = self.schema.types().filter(|(_, ty)| ty.is_named());
            named.any(|(_, ty)| ty.name() == name)
        };
        let is_definition = |name: &str| is_type(name) || self.schema.entity(name).is_some();
        let is_command = |name: &str| self.schema.commands().iter().any(|c| c.name() == name);
        let options = self.options;
        let mut unknown: Vec<(&str, &String)> = Vec::new();
        unknown.extend(
            options
                .replacements
                .keys()
                .filter(|name| !is_type(name))
                .map(|name| ("replace", name)),
        );
        unknown.extend(
            options
                .attributes
                .keys()
                .filter(|name| !is_definition(name))
                .map(|name| ("attributes", name)),
        );
        let served = options.commands.iter().flatten();
        unknown.extend(
            served
                .filter(|name| !is_command(name))
                .map(|name| ("serve", name)),
        );
        for (option, name) in unknown {
            let message =
                format!("option '{option}' names '{name}', which the schema does not have");
            self.errors
                .push(Diagnostic::unplaced(Code::OptionNamesNothing, message));
        }
    }
}
