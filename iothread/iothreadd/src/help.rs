//! What options of the command line take, for who asks for help in their place, in the form that QEMU has.

use std::fmt::Write as _;

use crate::chardev;
use crate::devices;
use crate::objects;
use crate::options::Options;
use crate::qapi::BlockdevDriver;
use crate::qom::types::{Initial, Property};

/// How wide the name of an option is, with its type, before what is said about it.
const NAME_WIDTH: usize = 22;

impl Options {
    /// The text that an option asks for, if one does.
    ///
    /// # Errors
    ///
    /// In QEMU's words: it asks about something that is not there.
    pub(crate) fn help(&self) -> Option<Result<String, String>> {
        let of = |option: &'static str, texts: &[String], help: Help| {
            texts.iter().find_map(|text| {
                let about = asks_for_help(text)?;
                Some(help(about).map_err(|error| format!("--{option} {text}: {error}")))
            })
        };
        of("object", &self.object, objects::help)
            .or_else(|| of("chardev", &self.chardev, chardev_help))
            .or_else(|| of("blockdev", &self.blockdev, blockdev_help))
            .or_else(|| of("device", &self.device, devices::help))
    }
}

/// Gives help about a type, or about all of them.
type Help = fn(Option<&str>) -> Result<String, String>;

/// What a text asks for help about: a type, or all of them. `None` if it does not ask.
fn asks_for_help(text: &str) -> Option<Option<&str>> {
    if text.starts_with('{') {
        return None;
    }
    let is_help = |word: &str| matches!(word, "help" | "?");
    let mut words = text.split(',');
    let first = words.next().filter(|word| !word.contains('='));
    match first {
        Some(word) if is_help(word) => Some(None),
        first => words.any(is_help).then_some(first),
    }
}

fn chardev_help(about: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    if about.is_some() {
        // As in QEMU, all of them are in one list.
        text.push_str("chardev options:\n");
        for (name, form) in chardev::options() {
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "  {name}=<{form}>");
        }
        return Ok(text);
    }
    text.push_str("Available chardev backend types: \n");
    for backend in chardev::query_backends() {
        let _ = writeln!(text, "  {}", backend.name);
    }
    Ok(text)
}

/// Differs from QEMU, which has no help for this option.
fn blockdev_help(about: Option<&str>) -> Result<String, String> {
    let known = |name: &str| BlockdevDriver::ALL.iter().any(|it| it.as_str() == name);
    if let Some(name) = about.filter(|name| !known(name)) {
        return Err(format!("Parameter 'driver' does not accept value '{name}'"));
    }
    let mut text = "Available block drivers:\n".to_owned();
    for driver in BlockdevDriver::ALL {
        let _ = writeln!(text, "  {}", driver.as_str());
    }
    Ok(text)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_for_those_who_ask() {
        for (text, about) in [
            ("help", Some(None)),
            ("?", Some(None)),
            ("file,help", Some(Some("file"))),
            ("file,id=x,?", Some(Some("file"))),
            ("id=x,help", Some(None)),
            ("file,id=help", None),
            ("file", None),
            ("", None),
            ("{\"driver\": \"help,help\"}", None),
        ] {
            assert_eq!(asks_for_help(text), about, "{text}");
        }
    }
}
