//! Help about the properties of a type, in the form that QEMU has.

use std::fmt::Write as _;

use super::types::{Initial, Property};

/// How wide the name of an option is, with its type, before what is said about it.
const NAME_WIDTH: usize = 22;

/// Lists properties by their names, with what is known of them.
pub(crate) fn list_properties<'p>(
    type_name: &str,
    properties: impl Iterator<Item = &'p Property>,
) -> String {
    let mut properties: Vec<_> = properties.collect();
    properties.sort_by_key(|property| property.name);
    let mut text = format!("{type_name} options:\n");
    for property in properties {
        let name = format!("{}=<{}>", property.name, property.value_type);
        let default = describe(property);
        if property.description.is_empty() && default.is_none() {
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "  {name}");
            continue;
        }
        let default = default.map(|it| format!(" (default: {it})"));
        let _ = writeln!(
            text,
            "  {name:NAME_WIDTH$} - {}{}",
            property.description,
            default.unwrap_or_default()
        );
    }
    text
}

/// The value that a property has unless it is given another, as options have it.
fn describe(property: &Property) -> Option<String> {
    match property.initial {
        Initial::Unset | Initial::EmptyList => None,
        Initial::Bool(true) => Some("on".to_owned()),
        Initial::Bool(false) => Some("off".to_owned()),
        Initial::Int(number) => Some(number.to_string()),
        Initial::Text(text) => Some(text.to_owned()),
    }
}
