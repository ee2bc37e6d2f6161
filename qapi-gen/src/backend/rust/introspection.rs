//! The answer to `query-qmp-schema`.

use std::collections::BTreeSet;

use crate::backend::introspect::{self, introspect_in_pieces};

use crate::ir::Command;
use crate::output::Out;

use super::gate::{Gate, reduce};
use super::layout;
use super::plan::Plan;

/// Whether a command is answered from generated data: one of this name without arguments.
pub(super) fn is_built_in(command: &Command) -> bool {
    command.name() == "query-qmp-schema" && command.arguments().is_none()
}

/// How the data is written down.
pub(super) enum Data {
    /// The JSON text.
    Whole(String),
    /// Parts of it, each with the condition under which it is there.
    Parts(Vec<(Gate, String)>),
}

/// The names of conditions that the data is left open by.
pub(super) fn open_names(plan: &Plan<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Data::Parts(parts) = data(plan) {
        for (gate, _) in &parts {
            let mut of_gate = BTreeSet::new();
            gate.names(&mut of_gate);
            names.extend(of_gate.into_iter().map(str::to_owned));
        }
    }
    names
}

/// The data for the configuration; in parts where it leaves a condition open.
pub(super) fn data(plan: &Plan<'_>) -> Data {
    let configuration = &plan.options.configuration;
    let options = introspect::Options::default();
    if let Ok(json) = introspect::introspect(plan.schema, configuration, options) {
        return Data::Whole(json);
    }
    let pieces = introspect_in_pieces(plan.schema, configuration).into_iter();
    let parts = pieces.filter_map(|piece| {
        let mut gate = Gate::ALWAYS;
        for condition in &piece.conditions {
            gate = gate.and(&reduce(condition, configuration)?);
        }
        Some((gate, piece.text))
    });
    Data::Parts(parts.collect())
}

impl Data {
    /// How the dispatcher names the text.
    pub(super) fn reference(&self) -> &'static str {
        match self {
            Self::Whole(_) => "introspection::SCHEMA",
            Self::Parts(_) => "&introspection::SCHEMA",
        }
    }

    /// The module after its header.
    pub(super) fn emit(&self, plan: &Plan<'_>, out: &mut Out<'_>) {
        const DOC: &str = "/// The JSON text, on one line.\n";
        let parts = match self {
            Self::Whole(json) => {
                out.push("\n");
                out.push(DOC);
                out.push("pub const SCHEMA: &str = ");
                push_literal(out, json);
                out.push(";\n");
                return;
            }
            Self::Parts(parts) => parts,
        };
        let mut text = String::from("\nuse std::sync::LazyLock;\n\n");
        text.push_str(DOC);
        let head = "pub static SCHEMA: LazyLock<String> =";
        let door = plan.options.door.as_str();
        let join = format!("LazyLock::new(|| {door}::join_introspection(PARTS));");
        if head.len() + 1 + join.len() <= layout::MAX_WIDTH {
            layout::line(&mut text, 0, &[head, " ", &join]);
        } else {
            layout::line(&mut text, 0, &[head]);
            layout::line(&mut text, 4, &[&join]);
        }
        text.push_str("\n/// What conditions have left of it.\nconst PARTS: &[&str] = &[\n");
        for (gate, part) in parts {
            plan.options.mapping.attribute(&mut text, 4, gate);
            layout::line(&mut text, 4, &[&layout::string(part), ","]);
            out.push(&text);
            text.clear();
        }
        out.push(&text);
        out.push("];\n");
    }
}

/// The text as a literal with one entity a line; its value has no line ends.
fn push_literal(out: &mut Out<'_>, json: &str) {
    out.push("\"\\\n");
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
            // The blank after the comma stays on this line; a literal skips blanks of the next.
            b' ' if !in_string && depth == 1 => {
                push_line(out, &json[start..=at]);
                out.push("\\\n");
                start = at + 1;
            }
            _ => {}
        }
    }
    push_line(out, &json[start..]);
    out.push("\"");
}

fn push_line(out: &mut Out<'_>, text: &str) {
    let quoted = layout::string(text);
    out.push("    ");
    out.push(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::push_literal;
    use crate::output::Out;

    #[test]
    fn literal_has_one_entity_a_line() {
        let json = r#"[{"name": "a, b"}, {"name": "c"}]"#;
        let expected = concat!(
            "\"\\\n",
            "    [{\\\"name\\\": \\\"a, b\\\"}, \\\n",
            "    {\\\"name\\\": \\\"c\\\"}]\""
        );
        let mut literal = String::new();
        let mut take = |piece: crate::output::Piece<'_>| {
            literal.push_str(piece.text);
            ControlFlow::Continue(())
        };
        let mut out = Out::new(&mut take);
        out.begin("x.rs");
        push_literal(&mut out, json);
        assert!(out.end().is_continue());
        assert_eq!(literal, expected);
    }
}
