//! The answer to `query-qmp-schema`.

use crate::backend::introspect::{self, introspect};

use crate::ir::Command;

use super::layout;
use super::plan::Plan;

/// Whether a command is answered from generated data: one of this name without arguments.
pub(super) fn is_built_in(command: &Command) -> bool {
    command.name() == "query-qmp-schema" && command.arguments().is_none()
}

/// The JSON text, if the configuration leaves no condition open: a constant has no parts that are
/// there or not. Where it does, the handler of the command gives the answer.
pub(super) fn data(plan: &Plan<'_>) -> Option<String> {
    let options = introspect::Options::default();
    introspect(plan.schema, &plan.options.configuration, options).ok()
}

/// The text as a literal with one entity a line; its value has no line ends.
pub(super) fn literal(json: &str) -> String {
    let mut literal = String::with_capacity(json.len() * 5 / 4);
    literal.push_str("\"\\\n");
    let mut depth = 0_usize;
    let mut start = 0;
    let mut in_string = false;
    let mut is_escaped = false;
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            // The blank behind the comma stays on this line; a literal skips blanks of the next.
            b' ' if !in_string && depth == 1 => {
                push_line(&mut literal, &json[start..=at]);
                literal.push_str("\\\n");
                start = at + 1;
            }
            _ => {}
        }
    }
    push_line(&mut literal, &json[start..]);
    literal.push('"');
    literal
}

fn push_line(literal: &mut String, text: &str) {
    layout::indent(literal, 4);
    let quoted = layout::string(text);
    literal.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn literal_has_one_entity_a_line() {
        let json = r#"[{"name": "a, b"}, {"name": "c"}]"#;
        let expected = concat!(
            "\"\\\n",
            "    [{\\\"name\\\": \\\"a, b\\\"}, \\\n",
            "    {\\\"name\\\": \\\"c\\\"}]\""
        );
        assert_eq!(literal(json), expected);
    }
}
