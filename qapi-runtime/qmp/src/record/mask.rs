//! Secrets, which logs do not have.

use std::fmt;

use qapi_runtime::Value;

/// What stands for a secret.
const MASK: &str = "***";

/// Which members are secrets.
///
/// Each is some names. It is a member whose way ends in them. The way begins with the command, whether the member is in its
/// arguments or in its result, or with the event; places in lists do not count.
#[derive(Debug, Default)]
pub(super) struct Masks(Vec<Vec<String>>);

/// A text that names no member.
#[derive(Debug)]
pub struct MaskError(String);

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' names no member: NAME or NAME.NAME is expected",
            self.0
        )
    }
}

impl std::error::Error for MaskError {}

impl Masks {
    pub(super) fn add(&mut self, text: &str) -> Result<(), MaskError> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(MaskError(text.to_owned()));
        }
        self.0.push(names);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Masks what is secret in `message`, which belongs to `command`; the ways of what was masked, in the message.
    pub(super) fn apply(&self, message: &mut Value, command: &str) -> Vec<String> {
        let mut walk = Walk {
            masks: &self.0,
            names: vec![command.to_owned()],
            places: Vec::new(),
            masked: Vec::new(),
        };
        if let Value::Object(members) = message {
            for part in ["arguments", "return", "data"] {
                if let Some(value) = members.get_mut(part) {
                    walk.places.push(part.to_owned());
                    walk.value(value);
                    walk.places.pop();
                }
            }
        }
        walk.masked
    }
}

struct Walk<'a> {
    masks: &'a [Vec<String>],
    /// The command and the names of members.
    names: Vec<String>,
    /// The way in the message.
    places: Vec<String>,
    masked: Vec<String>,
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let names: Vec<String> = members.keys().map(str::to_owned).collect();
                for name in names {
                    let Some(value) = members.get_mut(&name) else {
                        continue;
                    };
                    self.names.push(name.clone());
                    self.places.push(name);
                    if self.masks.iter().any(|mask| self.names.ends_with(mask)) {
                        *value = Value::from(MASK);
                        self.masked.push(self.places.join("."));
                    } else {
                        self.value(value);
                    }
                    self.places.pop();
                    self.names.pop();
                }
            }
            Value::Array(items) => {
                for (n, value) in items.iter_mut().enumerate() {
                    self.places.push(n.to_string());
                    self.value(value);
                    self.places.pop();
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Double(_)
            | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_masked_by_the_ends_of_their_ways() {
        let message = r#"{"execute": "go", "arguments": {"password": 1, "data": "a", "list": [{"key": {"password": 2}}, {"data": "b"}]}}"#;
        for (mask, expected) in [
            (
                "password",
                &["arguments.password", "arguments.list.0.key.password"][..],
            ),
            ("key.password", &["arguments.list.0.key.password"]),
            ("go.data", &["arguments.data"]),
            ("go.list", &["arguments.list"]),
            ("list.data", &["arguments.list.1.data"]),
            ("other.data", &[]),
            ("arguments", &[]),
        ] {
            let mut masks = Masks::default();
            masks.add(mask).unwrap();
            let mut value: Value = serde_json::from_str(message).unwrap();
            assert_eq!(masks.apply(&mut value, "go"), expected, "{mask}");
            let text = value.to_string();
            assert_eq!(text.matches("\"***\"").count(), expected.len(), "{text}");
        }
        for text in ["", ".", "a.", "a..b"] {
            assert!(Masks::default().add(text).is_err());
        }
    }
}
