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
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) address: Address,
}

impl Target {
    /// Whether its connection lasts in any case: a command would be started again for each look, and a descriptor is gone
    /// when it is closed.
    pub(crate) fn is_one_connection(&self) -> bool {
        matches!(self.address, Address::Exec(_) | Address::Fd(_))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// What makes a path a pattern.
const WILD: [char; 3] = ['*', '?', '['];

impl FromStr for Targets {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = match text.strip_prefix("unix:") {
            Some(path) => Some(path),
            None if Address::names_kind(text) => None,
            None => Some(text),
        };
        if let Some(path) = path
            && path.contains(WILD)
            // A path of that very name is no pattern.
            && !std::path::Path::new(path).exists()
            && let Ok(pattern) = glob::Pattern::new(path)
        {
            return Ok(Self::Matching(pattern));
        }
        let address = text.parse()?;
        Ok(Self::One(Target { address }))
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
        std::fs::write(path("really*"), "").unwrap();
        assert!(!is_pattern(&path("really*")));
        assert!("tcp:nowhere".parse::<Targets>().is_err());
    }
}
