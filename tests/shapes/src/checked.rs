//! Many of one thing in one place: definitions, members, values, branches, features, conditions.

use crate::shape::Verdict::{Limited, Valid};
use crate::shape::{FILES, Shape, lines, list, name};

pub(crate) const SHAPES: &[Shape] = &[
    Shape::new("definitions", Valid, 100, definitions),
    Shape::new(FILES, Valid, 50, |_| String::new()),
    Shape::new("bare-commands", Valid, 200, bare_commands),
    Shape::new("small-structs", Valid, 200, small_structs),
    Shape::new("events", Valid, 100, events),
    Shape::new("members-of-one", Valid, 100, members),
    Shape::new("values-of-one", Valid, 100, values),
    Shape::new("branches-of-one", Valid, 75, branches),
    Shape::new("members-beside-branches", Valid, 75, members_and_branches),
    Shape::new("features-of-one", Limited, 100, features),
    Shape::new("conditions", Valid, 100, conditions),
    Shape::new("conditions-of-one", Valid, 100, conditions_of_one),
    Shape::new("conditional-values", Valid, 100, conditional_values),
    Shape::new("operands", Valid, 100, operands),
    Shape::new("exceptions", Valid, 100, exceptions),
    Shape::new("long-names", Valid, 50, long_names),
    Shape::new("long-lines", Valid, 100, long_lines),
];

fn definitions(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'struct': 'S{own}', 'data': {{ 'a': 'int', '*b': 'E{own}' }} }}\n\
             {{ 'enum': 'E{own}', 'data': [ 'x', 'y' ] }}\n\
             {{ 'command': 'c{own}', 'data': {{ 's': 'S{own}' }}, 'returns': 'S{own}' }}\n"
        )
    })
}

/// The most definitions for the bytes.
fn bare_commands(n: usize) -> String {
    lines(n, |i| format!("{{ 'command': 'c{}' }}\n", name(i)))
}

/// The most types for the bytes.
fn small_structs(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'S{own}', 'data': {{ 'a': 'int' }} }}\n")
    })
}

fn events(n: usize) -> String {
    lines(n, |i| {
        let own = name(i).to_uppercase();
        format!("{{ 'event': 'E{own}', 'data': {{ 'a': 'int' }} }}\n")
    })
}

fn members(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!(
        "{{ 'struct': 'Big', 'data': {{ {members} }} }}\n{{ 'command': 'go', 'data': 'Big' }}\n"
    )
}

fn values(n: usize) -> String {
    let values = list(n, |i| format!("'v{}'", name(i)));
    format!(
        "{{ 'enum': 'Big', 'data': [ {values} ] }}\n\
         {{ 'command': 'go', 'data': {{ 'a': 'Big' }} }}\n"
    )
}

fn branches(n: usize) -> String {
    let values = list(n, |i| format!("'{}'", name(i)));
    let structs = lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'S{own}', 'data': {{ 'm{own}': 'int' }} }}\n")
    });
    let branches = list(n, |i| format!("'{0}': 'S{0}'", name(i)));
    format!(
        "{{ 'enum': 'Val', 'data': [ {values} ] }}\n{structs}\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val' }}, 'discriminator': 't',\n  'data': {{ {branches} }} }}\n\
         {{ 'command': 'go', 'data': 'Uni', 'boxed': true }}\n"
    )
}

/// A union with many members of its own.
fn members_and_branches(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    let values = list(n, |i| format!("'{}'", name(i)));
    let branches = list(n, |i| format!("'{0}': 'S{0}'", name(i)));
    let structs = lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'S{own}', 'data': {{ 'b{own}': 'int' }} }}\n")
    });
    format!(
        "{{ 'enum': 'Val', 'data': [ {values} ] }}\n{structs}\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val', {members} }}, 'discriminator': 't',\n  'data': {{ {branches} }} }}\n"
    )
}

fn features(n: usize) -> String {
    let features = list(n, |i| format!("'f{}'", name(i)));
    format!("{{ 'command': 'go', 'features': [ {features} ] }}\n")
}

/// Many different conditions.
fn conditions(n: usize) -> String {
    lines(n, |i| {
        let own = name(i).to_uppercase();
        format!(
            "{{ 'struct': 'S{}', 'data': {{}}, 'if': 'CONFIG_{own}' }}\n",
            name(i)
        )
    })
}

/// Members under many different conditions.
fn conditions_of_one(n: usize) -> String {
    let members = list(n, |i| {
        let own = name(i).to_uppercase();
        format!("'m{}': {{ 'type': 'int', 'if': 'CONFIG_{own}' }}", name(i))
    });
    format!(
        "{{ 'struct': 'Big', 'data': {{ {members} }} }}\n\
         {{ 'command': 'go', 'data': 'Big', 'boxed': true }}\n"
    )
}

/// Values under one condition.
fn conditional_values(n: usize) -> String {
    let values = list(n, |i| {
        format!("{{ 'name': 'v{}', 'if': 'CONFIG_A' }}", name(i))
    });
    format!(
        "{{ 'enum': 'Big', 'data': [ {values} ] }}\n\
         {{ 'command': 'go', 'data': {{ 'a': 'Big' }} }}\n"
    )
}

/// One condition of many operands.
fn operands(n: usize) -> String {
    let operands = list(n, |i| format!("'CONFIG_{}'", name(i).to_uppercase()));
    format!("{{ 'struct': 'Big', 'data': {{}}, 'if': {{ 'any': [ {operands} ] }} }}\n")
}

fn exceptions(n: usize) -> String {
    let names = list(n, |i| format!("'c_{}'", name(i)));
    let commands = lines(n, |i| format!("{{ 'command': 'c_{}' }}\n", name(i)));
    format!("{{ 'pragma': {{ 'command-name-exceptions': [ {names} ] }} }}\n{commands}")
}

/// Names that grow, in a number that does not.
fn long_names(n: usize) -> String {
    let long = "x".repeat(n.min(900));
    let members = list(20, |i| format!("'{long}{}': 'T{long}'", name(i)));
    format!(
        "{{ 'struct': 'T{long}', 'data': {{}} }}\n{{ 'struct': 'Big', 'data': {{ {members} }} }}\n"
    )
}

/// All on one line.
fn long_lines(n: usize) -> String {
    definitions(n).replace('\n', " ") + "\n"
}
