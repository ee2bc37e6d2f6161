//! The same thing used in many places: what a schema means may grow faster than its text.

use crate::shape::Verdict::{Limited, Valid};
use crate::shape::{Shape, lines, list, name};

pub(crate) const SHAPES: &[Shape] = &[
    Shape::new("tower", Valid, 25, tower),
    Shape::new("diamonds", Valid, 25, diamonds),
    Shape::new("cube", Valid, 12, cube),
    Shape::new("arguments", Valid, 25, arguments),
    Shape::new("base-of-many", Limited, 400, base_of_many),
    Shape::new("tag-of-many", Limited, 400, tag_of_many),
    Shape::new("tower-of-common-names", Valid, 25, tower_of_common_names),
    Shape::new("entangled", Limited, 500, entangled),
    Shape::new("one-type-of-many-members", Valid, 125, one_type),
    Shape::new("one-member-name", Valid, 125, one_member_name),
    Shape::new("one-feature", Valid, 125, one_feature),
    Shape::new("one-condition", Valid, 125, one_condition),
];

const TAG: &str =
    "{ 'enum': 'Tag', 'data': [ 'a', 'b' ] }\n{ 'struct': 'Leaf', 'data': { 'z': 'int' } }\n";

/// Both branches of a union are the union before.
fn tower(n: usize) -> String {
    let unions = lines(n, |i| {
        let own = name(i);
        let inner = match i {
            0 => "Leaf".to_owned(),
            _ => format!("U{}", name(i - 1)),
        };
        format!(
            "{{ 'union': 'U{own}', 'base': {{ 't{own}': 'Tag' }}, 'discriminator': 't{own}',\n  \
             'data': {{ 'a': '{inner}', 'b': '{inner}' }} }}\n"
        )
    });
    let top = name(n - 1);
    format!("{TAG}{unions}{{ 'command': 'go', 'data': 'U{top}', 'boxed': true }}\n")
}

/// Two structs on each floor use both of the floor below.
fn diamonds(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let inner = match i {
            0 => ["int".to_owned(), "int".to_owned()],
            _ => ["L", "R"].map(|side| format!("{side}{}", name(i - 1))),
        };
        let [left, right] = inner;
        format!(
            "{{ 'struct': 'L{own}', 'data': {{ 'a': '{left}', 'b': '{right}' }} }}\n\
             {{ 'struct': 'R{own}', 'data': {{ 'a': '{right}', '*b': ['{left}'] }} }}\n"
        )
    }) + &format!("{{ 'command': 'go', 'data': 'L{}' }}\n", name(n - 1))
}

/// A struct of many members is each of many branches of a union, which many commands take.
fn cube(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    let values = list(n, |i| format!("'{}'", name(i)));
    let branches = list(n, |i| format!("'{}': 'Hub'", name(i)));
    let commands = lines(n, |i| {
        format!(
            "{{ 'command': 'c{}', 'data': 'Uni', 'boxed': true }}\n",
            name(i)
        )
    });
    format!(
        "{{ 'struct': 'Hub', 'data': {{ {members} }} }}\n{{ 'enum': 'Val', 'data': [ {values} ] }}\n\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val' }}, 'discriminator': 't', 'data': {{ {branches} }} }}\n\
         {commands}"
    )
}

/// Many commands take the members of one large struct.
fn arguments(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    let commands = lines(n, |i| {
        format!("{{ 'command': 'c{}', 'data': 'Big' }}\n", name(i))
    });
    format!("{{ 'struct': 'Big', 'data': {{ {members} }} }}\n{commands}")
}

/// Many structs inherit many members.
fn base_of_many(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    let structs = lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'S{own}', 'base': 'Big', 'data': {{ 'x': 'int' }} }}\n")
    });
    format!("{{ 'struct': 'Big', 'data': {{ {members} }} }}\n{structs}")
}

/// Many unions have a discriminator of many values, and no branch for most of them.
fn tag_of_many(n: usize) -> String {
    let values = list(n, |i| format!("'{}'", name(i)));
    let unions = lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'union': 'U{own}', 'base': {{ 't': 'Val' }}, 'discriminator': 't', 'data': {{}} }}\n"
        )
    });
    format!("{{ 'enum': 'Val', 'data': [ {values} ] }}\n{unions}")
}

/// Unions in each other whose discriminators are called as members of others are.
fn tower_of_common_names(n: usize) -> String {
    let others = lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'X{own}', 'data': {{ 't{own}': 'int' }} }}\n")
    });
    format!("{}{others}", tower(n))
}

/// Unions in each other, and beside each a branch with a member that is called like its
/// discriminator.
fn entangled(n: usize) -> String {
    let unions = lines(n, |i| {
        let own = name(i);
        let (inner, beside) = match i {
            0 => ("Leaf".to_owned(), "Leaf".to_owned()),
            _ => (format!("U{}", name(i - 1)), format!("X{}", name(i - 1))),
        };
        format!(
            "{{ 'struct': 'X{own}', 'data': {{ 't{own}': 'int' }} }}\n\
             {{ 'union': 'U{own}', 'base': {{ 't{own}': 'Tag' }}, 'discriminator': 't{own}',\n  \
             'data': {{ 'a': '{inner}', 'b': '{beside}' }} }}\n"
        )
    });
    format!("{TAG}{unions}")
}

/// Many members of one type.
fn one_type(n: usize) -> String {
    let structs = lines(n, |i| {
        format!(
            "{{ 'struct': 'S{}', 'data': {{ 'a': 'Hub', 'b': ['Hub'] }} }}\n",
            name(i)
        )
    });
    format!("{{ 'struct': 'Hub', 'data': {{ 'z': 'int' }} }}\n{structs}")
}

/// Unions and structs that all have a member of one name.
fn one_member_name(n: usize) -> String {
    let unions = lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'struct': 'S{own}', 'data': {{ 'x': 'int', 'y': 'str' }} }}\n\
             {{ 'union': 'U{own}', 'base': {{ 'id': 'Tag' }}, 'discriminator': 'id', 'data': {{ 'a': 'S{own}' }} }}\n"
        )
    });
    format!("{TAG}{unions}")
}

/// Everything has the same feature.
fn one_feature(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'struct': 'S{own}', 'features': [ 'own' ],\n  \
             'data': {{ 'a': {{ 'type': 'int', 'features': [ 'unstable' ] }} }} }}\n\
             {{ 'command': 'c{own}', 'data': 'S{own}', 'features': [ 'deprecated' ] }}\n"
        )
    })
}

/// Everything has the same condition.
fn one_condition(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "{{ 'struct': 'S{own}', 'if': 'CONFIG_A',\n  \
             'data': {{ 'a': {{ 'type': 'int', 'if': 'CONFIG_B' }} }} }}\n\
             {{ 'command': 'c{own}', 'data': 'S{own}', 'boxed': true, 'if': 'CONFIG_A' }}\n"
        )
    })
}
