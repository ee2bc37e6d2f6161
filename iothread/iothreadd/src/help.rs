//! What options of the command line take, for who asks for help in their place, in the form that QEMU has.

use std::fmt::Write as _;

use crate::chardev;
use crate::devices;
use crate::objects;
use crate::options::Options;
use crate::qapi::BlockdevDriver;

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
