//! Conditions that the configuration leaves open.

use std::collections::BTreeSet;

use super::{Arguments, Body, Field, Plan};

/// The names of conditions that stay open, for the table of features.
pub(in crate::backend::rust) fn open_names<'p>(plan: &'p Plan<'_>) -> BTreeSet<&'p str> {
    let mut names = BTreeSet::new();
    let fields_names = |fields: &'p [Field<'_>], names: &mut BTreeSet<&'p str>| {
        for field in fields {
            field.gate.names(names);
            field
                .policies
                .iter()
                .for_each(|case| case.gate.names(names));
        }
    };
    for ty in plan.types.iter().flatten() {
        ty.gate.names(&mut names);
        match &ty.body {
            Body::Replaced(_) => {}
            Body::Enum(values, _) => {
                for value in values {
                    value.gate.names(&mut names);
                    value
                        .policies
                        .iter()
                        .for_each(|case| case.gate.names(&mut names));
                }
            }
            Body::Struct(fields) => fields_names(fields, &mut names),
            Body::Union(union) => {
                fields_names(&union.fields, &mut names);
                union
                    .branches
                    .iter()
                    .for_each(|branch| branch.gate.names(&mut names));
            }
            Body::Alternate(branches) => {
                branches
                    .iter()
                    .for_each(|branch| branch.gate.names(&mut names));
            }
        }
    }
    for command in plan.commands.iter().flatten() {
        command.gate.names(&mut names);
        if let Arguments::Members(fields) = &command.arguments {
            fields_names(fields, &mut names);
        }
    }
    for event in plan.events.iter().flatten() {
        event.gate.names(&mut names);
        if let Arguments::Members(fields) = &event.arguments {
            fields_names(fields, &mut names);
        }
    }
    names
}
