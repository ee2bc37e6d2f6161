//! The checks on a command before it is looked up.

use crate::error::Error;
use crate::json::{Kind, ValueRef};
use crate::visit::dictionary_order;

/// A command as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) command: &'a str,
    pub(super) arguments: Option<ValueRef<'a>>,
    pub(super) out_of_band: bool,
}

/// Whether a command is to jump the queue; decided before any other check.
pub(super) fn is_out_of_band(request: ValueRef<'_>) -> bool {
    request.get("exec-oob").is_some() && request.get("execute").is_none()
}

/// The command that a request names, whatever else is the matter with it; empty if it names none.
pub(super) fn command_name(request: ValueRef<'_>) -> &str {
    let name = request.get("execute").or_else(|| request.get("exec-oob"));
    name.and_then(ValueRef::as_str).unwrap_or("")
}

impl<'a> Envelope<'a> {
    /// Checks the members of a request.
    pub(super) fn check(request: ValueRef<'a>, oob_enabled: bool) -> Result<Self, Error> {
        if request.kind() != Kind::Object {
            return Err(Error::generic("QMP input must be a JSON object"));
        }
        let mut envelope = Self {
            command: "",
            arguments: None,
            out_of_band: false,
        };
        let mut found = false;
        for (key, value) in request.members() {
            match key {
                "execute" if !found => {}
                "exec-oob" if !found && oob_enabled => envelope.out_of_band = true,
                "arguments" if value.kind() == Kind::Object => {
                    envelope.arguments = Some(value);
                    continue;
                }
                "id" => continue,
                _ => return Err(first_mistake(request, oob_enabled)),
            }
            match value.as_str() {
                Some(command) => envelope.command = command,
                None => return Err(first_mistake(request, oob_enabled)),
            }
            found = true;
        }
        if found {
            Ok(envelope)
        } else {
            Err(Error::generic(NO_COMMAND))
        }
    }
}

const NO_COMMAND: &str = "QMP input lacks member 'execute'";

/// The mistake that the reference meets first in its dictionary.
#[cold]
fn first_mistake(request: ValueRef<'_>, oob_enabled: bool) -> Error {
    let mut members: Vec<(&str, ValueRef<'_>)> = request.members().collect();
    dictionary_order(&mut members);
    let mut command_key: Option<&str> = None;
    for (key, value) in members {
        match key {
            "id" => {}
            "arguments" => {
                if value.kind() != Kind::Object {
                    return Error::generic("QMP input member 'arguments' must be an object");
                }
            }
            _ if key == "execute" || (key == "exec-oob" && oob_enabled) => {
                if value.kind() != Kind::String {
                    return Error::generic(format!("QMP input member '{key}' must be a string"));
                }
                if let Some(other) = command_key {
                    return Error::generic(format!(
                        "QMP input member '{key}' clashes with '{other}'"
                    ));
                }
                command_key = Some(key);
            }
            _ => return Error::generic(format!("QMP input member '{key}' is unexpected")),
        }
    }
    Error::generic(NO_COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    fn desc(request: &str, oob: bool) -> String {
        let document = Document::parse(request.as_bytes()).unwrap();
        Envelope::check(document.root(), oob).unwrap_err().desc
    }

    #[test]
    fn mistakes_have_the_reference_texts() {
        for (request, oob, text) in [
            ("[]", false, "QMP input must be a JSON object"),
            ("{}", false, "QMP input lacks member 'execute'"),
            (
                "{'execute': 1}",
                false,
                "QMP input member 'execute' must be a string",
            ),
            (
                "{'exec-oob': 1}",
                false,
                "QMP input member 'exec-oob' is unexpected",
            ),
            (
                "{'exec-oob': 1}",
                true,
                "QMP input member 'exec-oob' must be a string",
            ),
            (
                "{'execute': 'a', 'arguments': []}",
                false,
                "QMP input member 'arguments' must be an object",
            ),
            (
                "{'execute': 'a', 'bogus': 1}",
                false,
                "QMP input member 'bogus' is unexpected",
            ),
        ] {
            assert_eq!(desc(request, oob), text);
        }
    }
}
