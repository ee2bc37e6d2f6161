//! Conditions (QAPI: section 'Configuring the schema') and what decides them.

use std::collections::HashMap;
use std::fmt;

/// The value of an `if` key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Condition {
    /// There is no `if`.
    #[default]
    Always,
    /// The preprocessor symbol that must be defined.
    Name(String),
    /// The operand must not hold.
    Not(Box<Condition>),
    /// Every operand must hold.
    All(Vec<Condition>),
    /// At least one operand must hold.
    Any(Vec<Condition>),
}

impl Condition {
    /// Whether a condition may have the name `name`: capital letters, digits and `_`, a letter first.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_part = |ch: char| ch.is_ascii_uppercase() || ch.is_ascii_digit() || ch == '_';
        name.starts_with(|ch: char| ch.is_ascii_uppercase()) && name.chars().all(is_part)
    }

    /// Whether there is no `if`.
    #[must_use]
    pub fn is_always(&self) -> bool {
        matches!(self, Self::Always)
    }

    /// Whether it holds under `configuration`; `None` when a name that decides it is neither set
    /// nor unset there.
    #[must_use]
    pub fn resolve(&self, configuration: &Configuration) -> Option<bool> {
        match self {
            Self::Always => Some(true),
            Self::Name(name) => configuration.get(name),
            Self::Not(operand) => operand.resolve(configuration).map(|holds| !holds),
            Self::All(operands) => decide(operands, configuration, false),
            Self::Any(operands) => decide(operands, configuration, true),
        }
    }

    /// The names in it, in order, repeated ones included.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_names(&mut names);
        names
    }

    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Always => {}
            Self::Name(name) => names.push(name),
            Self::Not(operand) => operand.collect_names(names),
            Self::All(operands) | Self::Any(operands) => {
                for operand in operands {
                    operand.collect_names(names);
                }
            }
        }
    }
}

/// One operand equal to `decisive` decides; else an unknown one leaves it open.
fn decide(operands: &[Condition], configuration: &Configuration, decisive: bool) -> Option<bool> {
    let mut is_open = false;
    for operand in operands {
        match operand.resolve(configuration) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => is_open = true,
        }
    }
    if is_open { None } else { Some(!decisive) }
}

/// The form that the reference test suite prints.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => Ok(()),
            Self::Name(name) => f.write_str(name),
            Self::Not(_) | Self::All(_) | Self::Any(_) => Nested(self).fmt(f),
        }
    }
}

/// A condition inside another one, where a name is quoted.
struct Nested<'a>(&'a Condition);

impl fmt::Display for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, operands) = match self.0 {
            Condition::Always => return Ok(()),
            Condition::Name(name) => return write!(f, "'{name}'"),
            Condition::Not(operand) => return write!(f, "{{'not': {}}}", Nested(operand)),
            Condition::All(operands) => ("all", operands),
            Condition::Any(operands) => ("any", operands),
        };
        write!(f, "{{'{key}': [")?;
        for (n, operand) in operands.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{}", Nested(operand))?;
        }
        f.write_str("]}")
    }
}

/// Which names of conditions are set and which are not.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    names: HashMap<String, bool>,
    default: Option<bool>,
}

/// A line of a configuration file that is neither a setting nor a comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected 'NAME=y', 'NAME=n', '# NAME is not set' or a comment")]
pub struct ConfigurationError {
    /// The line, from 1.
    pub line: usize,
}

impl Configuration {
    /// Nothing is known: every condition stays open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every name has the value `value` until it is set otherwise.
    #[must_use]
    pub fn with_default(value: bool) -> Self {
        Self {
            names: HashMap::new(),
            default: Some(value),
        }
    }

    /// Sets or unsets `name`.
    pub fn set(&mut self, name: impl Into<String>, value: bool) {
        self.names.insert(name.into(), value);
    }

    /// The same configuration with `name` set or unset, to be chained.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: bool) -> Self {
        self.set(name, value);
        self
    }

    /// What is known about `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<bool> {
        self.names.get(name).copied().or(self.default)
    }

    /// Reads the form of Kconfig: `NAME=y`, `NAME=n`, `# NAME is not set`, other comments and
    /// blank lines. Any other value after `=` sets the name, as in Kconfig.
    ///
    /// # Errors
    ///
    /// The first line of another form.
    pub fn read(&mut self, text: &str) -> Result<(), ConfigurationError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(name) = comment.trim().strip_suffix(" is not set") {
                    self.set(name.trim(), false);
                }
            } else if let Some((name, value)) = line.split_once('=') {
                self.set(name.trim(), value.trim() != "n");
            } else if !line.is_empty() {
                return Err(ConfigurationError { line: index + 1 });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_names_stay_open_unless_another_decides() {
        let mut configuration = Configuration::new();
        configuration
            .read("A=y\n# B is not set\n")
            .expect("well-formed");
        let name = |name: &str| Condition::Name(name.to_owned());
        assert_eq!(
            Condition::All(vec![name("C"), name("B")]).resolve(&configuration),
            Some(false)
        );
        assert_eq!(
            Condition::All(vec![name("C"), name("A")]).resolve(&configuration),
            None
        );
        assert_eq!(
            Condition::Any(vec![name("C"), name("A")]).resolve(&configuration),
            Some(true)
        );
        assert_eq!(
            Condition::Not(Box::new(name("B"))).resolve(&configuration),
            Some(true)
        );
    }
}
