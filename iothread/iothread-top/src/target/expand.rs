//! Which servers there are now.

use std::collections::HashSet;

use qapi_runtime::address::Address;

use super::{Target, Targets};
use crate::system;

/// The most servers that are looked at; more are not, and that is said.
pub(crate) const MAX_TARGETS: usize = 2_000;

/// The servers that are named, and those whose sockets are there, each once; and how many were left out.
///
/// `domains` are those that libvirt has now. Reads folders, which may take as long as the file system likes.
pub(crate) fn expand(all: &[Targets], domains: &[String]) -> (Vec<Target>, usize) {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut add = |target: Target| {
        if seen.insert(target.clone()) {
            found.push(target);
        }
    };
    for targets in all {
        match targets {
            Targets::One(target) => add(target.clone()),
            Targets::Matching(pattern) => {
                // A folder that cannot be read has no sockets for us.
                let paths = glob::glob(pattern.as_str()).into_iter().flatten().flatten();
                let sockets = paths.filter(|path| system::is_socket(path));
                for path in sockets {
                    add(Target::At(Address::unix(path)));
                }
            }
            Targets::Domains(pattern) => {
                for name in domains.iter().filter(|it| pattern.matches(it)) {
                    add(Target::Domain(name.clone()));
                }
            }
        }
    }
    let n_left_out = found.len().saturating_sub(MAX_TARGETS);
    found.truncate(MAX_TARGETS);
    (found, n_left_out)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_pattern_is_the_sockets_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let all: Vec<Targets> = [path("b.qmp"), path("*.qmp")]
            .iter()
            .map(|path| path.to_str().unwrap().parse().unwrap())
            .collect();
        let named = Target::At(Address::unix(path("b.qmp")));
        assert_eq!(expand(&all, &[]), (vec![named.clone()], 0));
        let _sockets = ["a.qmp", "b.qmp", "c"].map(|name| UnixListener::bind(path(name)).unwrap());
        std::fs::write(path("file.qmp"), "").unwrap();
        let other = Target::At(Address::unix(path("a.qmp")));
        assert_eq!(expand(&all, &[]), (vec![named, other], 0));
        let domains = ["vm1", "web", "vm2"].map(str::to_owned);
        let all = ["libvirt:vm*", "libvirt:vm2"].map(|it| it.parse().unwrap());
        let found = ["vm1", "vm2"].map(|it| Target::Domain(it.to_owned()));
        assert_eq!(expand(&all, &domains), (found.to_vec(), 0));
    }
}
