//! The answer of `query-qmp-schema` under a policy that hides what is deprecated.

use super::output::Output;
use super::policy::CompatOutput;
use crate::json::{Document, ValueRef, Writer};

impl Output {
    /// Writes the answer of `query-qmp-schema` from its text. A policy that hides deprecated output
    /// takes commands, events, members and values with the feature `deprecated` out of it, and
    /// member `values` of enums, which is deprecated itself. One that hides unstable output does
    /// not change the answer; both as in QEMU.
    #[doc(hidden)]
    pub fn introspection(&mut self, schema: &str) {
        if self.compat().deprecated_output == CompatOutput::Accept {
            self.raw(schema.as_bytes());
            return;
        }
        match Document::parse(schema.as_bytes()) {
            Ok(document) => write_shown(self.writer(), document.root()),
            // It is a constant of generated code.
            Err(_) => self.raw(schema.as_bytes()),
        }
    }
}

/// Puts the text of introspection data together from the parts that conditions have left. The
/// comma at the start of a part is left out where its element has become the first of its list.
pub fn join_introspection(parts: &[&str]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        let is_first = text.ends_with('[');
        let element = part.strip_prefix(", ").filter(|_| is_first);
        text.push_str(element.unwrap_or(part));
    }
    text
}

/// Writes the entities that are not deprecated.
fn write_shown(writer: &mut Writer, entities: ValueRef<'_>) {
    writer.begin_array();
    for entity in entities.elements().filter(|entity| is_shown(*entity)) {
        writer.begin_object();
        for (name, value) in entity.members() {
            match name {
                "members" => {
                    writer.key(name);
                    writer.begin_array();
                    for member in value.elements().filter(|member| is_shown(*member)) {
                        writer.value_ref(member);
                    }
                    writer.end_array();
                }
                "values" => {}
                _ => {
                    writer.key(name);
                    writer.value_ref(value);
                }
            }
        }
        writer.end_object();
    }
    writer.end_array();
}

fn is_shown(described: ValueRef<'_>) -> bool {
    let is_deprecated = |feature: ValueRef<'_>| feature.as_str() == Some("deprecated");
    !described
        .get("features")
        .is_some_and(|features| features.elements().any(is_deprecated))
}

#[cfg(test)]
mod tests {
    use crate::visit::{CompatOutput, CompatPolicy, Output};

    const SCHEMA: &str = r#"[{"name": "old", "meta-type": "command", "features": ["deprecated"]}, {"name": "new", "meta-type": "command", "features": ["unstable"]}, {"name": "0", "meta-type": "object", "members": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "features": ["deprecated"]}]}, {"name": "1", "meta-type": "enum", "members": [{"name": "x"}], "values": ["x"]}]"#;

    fn shown(compat: CompatPolicy) -> String {
        let mut output = Output::with_buffer(Vec::new(), compat, false);
        output.introspection(SCHEMA);
        String::from_utf8(output.into_bytes()).unwrap()
    }

    #[test]
    fn commas_go_where_elements_have_gone() {
        let join = super::join_introspection;
        assert_eq!(
            join(&["[", "{\"a\": [", "1", ", 2", "]}", ", 3", "]"]),
            "[{\"a\": [1, 2]}, 3]"
        );
        assert_eq!(
            join(&["[", "{\"a\": [", ", 2", "]}", ", 3", "]"]),
            "[{\"a\": [2]}, 3]"
        );
        assert_eq!(join(&["[", ", 3", "]"]), "[3]");
    }

    #[test]
    fn deprecated_parts_are_hidden_where_asked_for() {
        assert_eq!(shown(CompatPolicy::ACCEPT), SCHEMA);
        let unstable = CompatPolicy {
            unstable_output: CompatOutput::Hide,
            ..CompatPolicy::ACCEPT
        };
        assert_eq!(shown(unstable), SCHEMA);
        let deprecated = CompatPolicy {
            deprecated_output: CompatOutput::Hide,
            ..CompatPolicy::ACCEPT
        };
        assert_eq!(
            shown(deprecated),
            r#"[{"name": "new", "meta-type": "command", "features": ["unstable"]}, {"name": "0", "meta-type": "object", "members": [{"name": "a", "type": "int"}]}, {"name": "1", "meta-type": "enum", "members": [{"name": "x"}]}]"#
        );
    }
}
