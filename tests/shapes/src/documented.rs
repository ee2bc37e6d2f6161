//! Documentation comments: sections, texts, headings, references, lists, tables.

use crate::shape::Verdict::{Limited, Valid};
use crate::shape::{Shape, lines, list, name};

pub(crate) const SHAPES: &[Shape] = &[
    Shape::new("documented-definitions", Valid, 50, definitions),
    Shape::new("documented-members", Valid, 75, members),
    Shape::new("documented-features", Limited, 75, features),
    Shape::new("undocumented-members", Valid, 75, undocumented),
    Shape::new("paragraphs", Valid, 100, paragraphs),
    Shape::new("equal-headings", Valid, 75, equal_headings),
    Shape::new("references", Valid, 75, references),
    Shape::new("references-to-one-name", Valid, 50, references_to_one_name),
    Shape::new("references-to-branches", Valid, 50, references_to_branches),
    Shape::new("list-items", Valid, 75, list_items),
    Shape::new("comment-lines", Valid, 250, comment_lines),
    Shape::new("literal-lines", Valid, 125, literal_lines),
    Shape::new("marks", Valid, 125, marks),
    Shape::new("examples", Valid, 25, examples),
];

fn definitions(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "##\n# @c{own}:\n#\n# Does something.\n#\n# @a: what for\n#\n# Returns: nothing\n#\n# Since: 1.0\n##\n\
             {{ 'command': 'c{own}', 'data': {{ 'a': 'int' }}, 'returns': 'Res' }}\n"
        )
    }) + "{ 'struct': 'Res', 'data': {} }\n"
}

fn members(n: usize) -> String {
    let sections = lines(n, |i| format!("# @m{}: a member\n#\n", name(i)));
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!(
        "##\n# @Big:\n#\n{sections}# Since: 1.0\n##\n{{ 'struct': 'Big', 'data': {{ {members} }} }}\n"
    )
}

fn features(n: usize) -> String {
    let sections = lines(n, |i| format!("# @f{}: a feature\n#\n", name(i)));
    let features = list(n, |i| format!("'f{}'", name(i)));
    format!(
        "##\n# @go:\n#\n# Features:\n#\n{sections}# Since: 1.0\n##\n\
         {{ 'command': 'go', 'features': [ {features} ] }}\n"
    )
}

/// Members that a pragma excuses from being documented.
fn undocumented(n: usize) -> String {
    let members = list(n, |i| format!("'m{}': 'int'", name(i)));
    format!(
        "{{ 'pragma': {{ 'documentation-exceptions': [ 'Big' ] }} }}\n\
         ##\n# @Big:\n#\n# Since: 1.0\n##\n{{ 'struct': 'Big', 'data': {{ {members} }} }}\n"
    )
}

fn paragraphs(n: usize) -> String {
    let text = lines(n, |i| format!("# A paragraph {}.\n#\n", name(i)));
    format!("##\n# @go:\n#\n{text}# Since: 1.0\n##\n{{ 'command': 'go' }}\n")
}

fn equal_headings(n: usize) -> String {
    let comment = "##\n# *****\n# Title\n# *****\n#\n# Text.\n##\n\n";
    format!("{{ 'command': 'go' }}\n\n{}", comment.repeat(n))
}

/// Each definition's text refers to the one before and to its own members.
fn references(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        let before = name(i.saturating_sub(1));
        format!(
            "##\n# @S{own}:\n#\n# As `S{before}`, with @m{own} and @m{before}.\n#\n# @m{own}: a member\n##\n\
             {{ 'struct': 'S{own}', 'data': {{ 'm{own}': 'int' }} }}\n"
        )
    })
}

/// Each definition refers to a member that all of them have, but not the one at hand.
fn references_to_one_name(n: usize) -> String {
    lines(n, |i| {
        let own = name(i);
        format!(
            "##\n# @S{own}:\n#\n# @id: a member\n##\n{{ 'struct': 'S{own}', 'data': {{ 'id': 'int' }} }}\n\
             ##\n# @c{own}:\n#\n# Looks for @id.\n##\n{{ 'command': 'c{own}' }}\n"
        )
    })
}

/// A union whose text names all of its values and all members of its branches.
fn references_to_branches(n: usize) -> String {
    let values = list(n, |i| format!("'{}'", name(i)));
    let structs = lines(n, |i| {
        let own = name(i);
        format!("{{ 'struct': 'S{own}', 'data': {{ 'm{own}': 'int' }} }}\n")
    });
    let branches = list(n, |i| format!("'{0}': 'S{0}'", name(i)));
    let text = lines(n, |i| format!("# With @{0} and @m{0}.\n#\n", name(i)));
    format!(
        "{{ 'enum': 'Val', 'data': [ {values} ] }}\n{structs}\
         ##\n# @Uni:\n#\n{text}# @t: the tag\n##\n\
         {{ 'union': 'Uni', 'base': {{ 't': 'Val' }}, 'discriminator': 't',\n  'data': {{ {branches} }} }}\n"
    )
}

fn list_items(n: usize) -> String {
    let text = lines(n, |i| format!("# - item {}\n", name(i)));
    format!("##\n# @go:\n#\n# A list:\n#\n{text}#\n# Since: 1.0\n##\n{{ 'command': 'go' }}\n")
}

/// One paragraph of many lines.
fn comment_lines(n: usize) -> String {
    let text = lines(n, |i| format!("# a line {}\n", name(i)));
    format!("##\n# @go:\n#\n{text}##\n{{ 'command': 'go' }}\n")
}

fn literal_lines(n: usize) -> String {
    let text = lines(n, |i| format!("#     literal {}\n", name(i)));
    format!("##\n# @go:\n#\n# A block::\n#\n{text}##\n{{ 'command': 'go' }}\n")
}

/// A text full of characters that might begin markup.
fn marks(n: usize) -> String {
    let text = lines(n, |i| format!("# *a `b **c ``d :e: _f|g {}\n", name(i)));
    format!("##\n# @go:\n#\n{text}##\n{{ 'command': 'go' }}\n")
}

fn examples(n: usize) -> String {
    let text = lines(n, |i| {
        format!(
            "# .. qmp-example::\n#\n#     -> {{ \"execute\": \"go\",\n#          \"arguments\": {{ \"a\": \"{}\" }} }}\n\
             #     <- {{ \"return\": {{}} }}\n#\n",
            name(i)
        )
    });
    format!(
        "##\n# @go:\n#\n# @a: an argument\n#\n# Text.\n#\n{text}# Since: 1.0\n##\n\
         {{ 'command': 'go', 'data': {{ 'a': 'str' }} }}\n"
    )
}
