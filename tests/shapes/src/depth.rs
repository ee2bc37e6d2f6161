//! Types in each other: bases, branches, arrays, alternates, members, conditions, includes.

use crate::shape::Verdict::{Limited, Valid};
use crate::shape::{Shape, lines, name};

pub(crate) const SHAPES: &[Shape] = &[
    Shape::new("bases", Limited, 400, bases),
    Shape::new("bases-backwards", Limited, 400, bases_backwards),
    Shape::new("chains-of-bases", Valid, 10, chains_of_bases),
    Shape::new("branches", Valid, 62, branches),
    Shape::new("branches-backwards", Valid, 62, branches_backwards),
    Shape::new("members", Valid, 100, members),
    Shape::new("arrays", Valid, 100, arrays),
    Shape::new("alternates", Valid, 100, alternates),
    Shape::new("cycle", Valid, 100, cycle),
    Shape::new("conditions-in-each-other", Valid, 10, conditions),
];

fn base(i: usize) -> String {
    let own = name(i);
    match i {
        0 => format!("{{ 'struct': 'B{own}', 'data': {{ 'm{own}': 'int' }} }}\n"),
        _ => {
            let before = name(i - 1);
            format!(
                "{{ 'struct': 'B{own}', 'base': 'B{before}', 'data': {{ 'm{own}': 'int' }} }}\n"
            )
        }
    }
}

/// Each struct is the base of the next.
fn bases(n: usize) -> String {
    lines(n, base)
}

/// Each struct is the base of the one before it.
fn bases_backwards(n: usize) -> String {
    lines(n, |i| base(n - 1 - i))
}

/// Many chains of a depth that people might write.
fn chains_of_bases(n: usize) -> String {
    let depth = 8;
    lines(n * depth, |i| {
        let own = name(i);
        let base = match i % depth {
            0 => String::new(),
            _ => format!("'base': 'C{}', ", name(i - 1)),
        };
        format!(
            "{{ 'struct': 'C{own}', {base}'data': {{ 'm{own}': 'int' }} }}\n\
             {{ 'command': 'c{own}', 'data': 'C{own}' }}\n"
        )
    })
}

const LEAF: &str =
    "{ 'enum': 'Tag', 'data': [ 'a', 'b' ] }\n{ 'struct': 'Leaf', 'data': { 'z': 'int' } }\n";

fn union(i: usize) -> String {
    let own = name(i);
    let inner = match i {
        0 => "Leaf".to_owned(),
        _ => format!("U{}", name(i - 1)),
    };
    format!(
        "{{ 'union': 'U{own}', 'base': {{ 't{own}': 'Tag' }}, 'discriminator': 't{own}',\n  \
         'data': {{ 'a': '{inner}' }} }}\n"
    )
}

/// Each union is a branch of the next.
fn branches(n: usize) -> String {
    let top = name(n - 1);
    format!(
        "{LEAF}{}{{ 'command': 'go', 'data': 'U{top}', 'boxed': true }}\n",
        lines(n, union)
    )
}

/// Each union is a branch of the one before it.
fn branches_backwards(n: usize) -> String {
    format!("{LEAF}{}", lines(n, |i| union(n - 1 - i)))
}

/// Each struct has a member of the type of the one before.
fn members(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let inner = match i {
            0 => "int".to_owned(),
            _ => format!("M{}", name(i - 1)),
        };
        format!("{{ 'struct': 'M{own}', 'data': {{ 'm': '{inner}' }} }}\n")
    }) + &format!("{{ 'command': 'go', 'data': 'M{}' }}\n", name(n - 1))
}

/// Each struct has an array of the one before.
fn arrays(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let inner = match i {
            0 => "int".to_owned(),
            _ => format!("A{}", name(i - 1)),
        };
        format!("{{ 'struct': 'A{own}', 'data': {{ '*m': ['{inner}'] }} }}\n")
    }) + &format!("{{ 'command': 'go', 'returns': ['A{}'] }}\n", name(n - 1))
}

/// Each alternate has an object with a member of the alternate before.
fn alternates(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let inner = match i {
            0 => "int".to_owned(),
            _ => format!("L{}", name(i - 1)),
        };
        format!(
            "{{ 'struct': 'O{own}', 'data': {{ 'm': '{inner}' }} }}\n\
             {{ 'alternate': 'L{own}', 'data': {{ 's': 'str', 'o': 'O{own}' }} }}\n"
        )
    }) + &format!(
        "{{ 'command': 'go', 'data': {{ 'a': 'L{}' }} }}\n",
        name(n - 1)
    )
}

/// A circle of optional members.
fn cycle(n: usize) -> String {
    lines(n, |i| {
        let (own, next) = (name(i), name((i + 1) % n));
        format!("{{ 'struct': 'R{own}', 'data': {{ '*m': 'R{next}' }} }}\n")
    }) + &format!("{{ 'command': 'go', 'data': 'R{}' }}\n", name(0))
}

/// A condition of some depth at many definitions.
fn conditions(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let (open, close) = ("{ 'not': ".repeat(20), " }".repeat(20));
        format!("{{ 'struct': 'D{own}', 'data': {{}},\n  'if': {open}'CONFIG_A'{close} }}\n")
    })
}
