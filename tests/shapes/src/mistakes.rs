//! Many mistakes of one kind.

use crate::shape::Verdict::Refused;
use crate::shape::{Shape, lines, list, name};

pub(crate) const SHAPES: &[Shape] = &[
    Shape::new("unknown-types", Refused, 400, unknown_types),
    Shape::new("look-alike-types", Refused, 200, look_alikes),
    Shape::new("wrong-branches", Refused, 200, wrong_branches),
    Shape::new("unknown-members-in-docs", Refused, 400, unknown_documented),
    Shape::new("undescribed-members", Refused, 400, undescribed),
    Shape::new("misspelt-members-in-docs", Refused, 300, misspelt),
    Shape::new("duplicates-in-docs", Refused, 300, duplicates_in_docs),
    Shape::new("redefinitions", Refused, 400, redefinitions),
    Shape::new("collisions", Refused, 400, collisions),
    Shape::new("collisions-in-branches", Refused, 300, branch_collisions),
    Shape::new("unknown-keys", Refused, 400, unknown_keys),
    Shape::new("duplicate-keys", Refused, 400, duplicate_keys),
    Shape::new("lost-definitions", Refused, 400, lost),
    Shape::new("stray-text", Refused, 400, stray),
    Shape::new("broken-lines", Refused, 400, broken_lines),
    Shape::new("mistakes-on-one-line", Refused, 400, one_line),
    Shape::new("circles", Refused, 300, circles),
    Shape::new("ambiguous-branches", Refused, 400, ambiguous),
    Shape::new("open-comment", Refused, 1000, open_comment),
    Shape::new("open-brackets", Refused, 1000, open_brackets),
];

fn unknown_types(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'None{}'", name(i), name(i)));
    format!("{{ 'struct': 'Big', 'data': {{ {members} }} }}\n")
}

/// Types whose names differ little from those that are asked for.
fn look_alikes(n: usize) -> String {
    let types = lines(n, |i| {
        format!("{{ 'struct': 'Some{}', 'data': {{}} }}\n", name(i))
    });
    let members = list(n, |i| format!("'m{}': 'Same{}'", name(i), name(i)));
    format!("{types}{{ 'struct': 'Big', 'data': {{ {members} }} }}\n")
}

fn wrong_branches(n: usize) -> String {
    let values = list(n, |i| format!("'v{}'", name(i)));
    let branches = list(n, |i| format!("'w{}': 'Leaf'", name(i)));
    format!(
        "{{ 'struct': 'Leaf', 'data': {{}} }}\n{{ 'enum': 'Val', 'data': [ {values} ] }}\n\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val' }}, 'discriminator': 't',\n  'data': {{ {branches} }} }}\n"
    )
}

fn unknown_documented(n: usize) -> String {
    let sections = lines(n, |i| format!("# @x{}: a member\n#\n", name(i)));
    format!("##\n# @Big:\n#\n{sections}##\n{{ 'struct': 'Big', 'data': {{}} }}\n")
}

fn undescribed(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!("##\n# @Big:\n##\n{{ 'struct': 'Big', 'data': {{ {members} }} }}\n")
}

fn misspelt(n: usize) -> String {
    let sections = lines(n, |i| format!("# @n{}: a member\n#\n", name(i)));
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!("##\n# @Big:\n#\n{sections}##\n{{ 'struct': 'Big', 'data': {{ {members} }} }}\n")
}

fn duplicates_in_docs(n: usize) -> String {
    let sections = lines(n, |i| format!("# @m{}: a member\n#\n", name(i / 2)));
    let tagged = "# Since: 1.0\n#\n".repeat(n);
    format!("##\n# @Big:\n#\n{sections}{tagged}##\n{{ 'struct': 'Big', 'data': {{}} }}\n")
}

fn redefinitions(n: usize) -> String {
    lines(n, |_| "{ 'struct': 'Same', 'data': {} }\n".to_owned())
}

/// Every member of a struct is one of its base.
fn collisions(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!(
        "{{ 'struct': 'Base', 'data': {{ {members} }} }}\n\
         {{ 'struct': 'Big', 'base': 'Base', 'data': {{ {members} }} }}\n"
    )
}

/// Every branch has the discriminator.
fn branch_collisions(n: usize) -> String {
    let values = list(n, |i| format!("'{}'", name(i)));
    let branches = list(n, |i| format!("'{0}': 'S{0}'", name(i)));
    let structs = lines(n, |i| {
        format!("{{ 'struct': 'S{}', 'data': {{ 't': 'int' }} }}\n", name(i))
    });
    format!(
        "{{ 'enum': 'Val', 'data': [ {values} ] }}\n{structs}\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val' }}, 'discriminator': 't',\n  'data': {{ {branches} }} }}\n"
    )
}

fn unknown_keys(n: usize) -> String {
    let keys = list(n, |i| format!("'k{}': 'x'", name(i)));
    format!("{{ 'struct': 'Big', 'data': {{}}, {keys} }}\n")
}

fn duplicate_keys(n: usize) -> String {
    let keys = list(n, |i| format!("'m{}': 'int'", name(i / 2)));
    format!("{{ 'struct': 'Big', 'data': {{ {keys} }} }}\n")
}

/// Definitions that are lost, and others that use them.
fn lost(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'struct': 'L{own}' 'data': {{}} }}\n{{ 'struct': 'U{own}', 'data': {{ 'a': 'L{own}' }} }}\n"
        )
    })
}

fn stray(n: usize) -> String {
    lines(n, |i| format!("text that is {} no token\n", name(i)))
}

fn broken_lines(n: usize) -> String {
    lines(n, |i| {
        format!("{{ 'struct': 'B{}', 'data': [ 'a\n", name(i))
    })
}

/// Diagnostics whose columns are far from the start of their line.
fn one_line(n: usize) -> String {
    let members = (0..n).map(|i| format!("'m{}': 'None{}'", name(i), name(i)));
    let members = members.collect::<Vec<_>>().join(", ");
    format!("{{ 'struct': 'Big', 'data': {{ {members} }} }}\n")
}

/// Structs that are each other's base.
fn circles(n: usize) -> String {
    lines(n, |i| {
        let (own, next) = (name(i), name((i + 1) % n));
        format!("{{ 'struct': 'R{own}', 'base': 'R{next}', 'data': {{ 'm{own}': 'int' }} }}\n")
    })
}

fn ambiguous(n: usize) -> String {
    let branches = list(n, |i| format!("'b{}': 'str'", name(i)));
    format!("{{ 'alternate': 'Alt', 'data': {{ {branches} }} }}\n")
}

fn open_comment(n: usize) -> String {
    format!("##\n# @go:\n{}", "# text\n".repeat(n))
}

fn open_brackets(n: usize) -> String {
    "[".repeat(n) + "\n"
}
