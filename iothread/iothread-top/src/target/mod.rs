//! What is looked at: addresses of monitors, and patterns that may match many.

mod expand;

use std::fmt;
use std::str::FromStr;

use qapi_runtime::address::{Address, AddressError};

pub(crate) use self::expand::expand;

/// One or many servers, as the command line names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Targets {
    /// One server, which is shown whether it is there or not.
    One(Target),
    /// The sockets whose paths match a pattern. They come and go.
    Matching(glob::Pattern),
    /// The running domains of libvirt whose names match a pattern.
    Domains(glob::Pattern),
}

impl Targets {
    /// The pattern of domains, if it is one.
    pub(crate) fn domains(&self) -> Option<String> {
        match self {
            Self::Domains(pattern) => Some(pattern.as_str().to_owned()),
            Self::One(_) | Self::Matching(_) => None,
        }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A monitor.
    At(Address),
    /// A domain of libvirt, by its name.
    Domain(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Domain(name) => write!(f, "{LIBVIRT}{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = AddressError;

    /// What is printed of a target is read as the same one.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix(LIBVIRT) {
            Some("") => Err(AddressError::Missing("name of the domain")),
            Some(name) => Ok(Self::Domain(name.to_owned())),
            None => Ok(Self::At(text.parse()?)),
        }
    }
}

/// What names of domains begin with on the command line.
const LIBVIRT: &str = "libvirt:";

/// What makes a path a pattern.
const WILD: [char; 3] = ['*', '?', '['];

impl FromStr for Targets {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(name) = text.strip_prefix(LIBVIRT)
            && name.contains(WILD)
            && let Ok(pattern) = glob::Pattern::new(name)
        {
            return Ok(Self::Domains(pattern));
        }
        let path = match text.strip_prefix("unix:") {
            Some(path) => Some(path),
            None if Address::names_kind(text) => None,
            None => Some(text),
        };
        if let Some(path) = path
            && path.contains(WILD)
            // A path of that very name is not a pattern.
            && !std::path::Path::new(path).exists()
            && let Ok(pattern) = glob::Pattern::new(path)
        {
            return Ok(Self::Matching(pattern));
        }
        Ok(Self::One(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_paths_with_wildcards() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let is_pattern = |text: &str| matches!(text.parse(), Ok(Targets::Matching(_)));
        assert!(is_pattern(&path("*.qmp")));
        assert!(is_pattern(&format!("unix:{}", path("vm[0-9]"))));
        assert!(!is_pattern(&path("vm1")));
        assert!(!is_pattern("exec:ssh host nc -U /run/*.qmp"));
        assert!(!is_pattern("tcp:[::1]:4444"));
        // No file of Windows has an asterisk in its name.
        std::fs::write(path("really[1]"), "").unwrap();
        assert!(!is_pattern(&path("really[1]")));
        let domain = |text: &str| text.parse::<Targets>();
        assert!(matches!(domain("libvirt:vm*"), Ok(Targets::Domains(_))));
        let named = Targets::One(Target::Domain("vm 1".to_owned()));
        assert_eq!(domain("libvirt:vm 1"), Ok(named));
        assert!(domain("libvirt:").is_err());
        assert!("tcp:nowhere".parse::<Targets>().is_err());
    }
}
