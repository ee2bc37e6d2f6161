//! Descriptors that clients pass along: those kept by name, and the numbered sets.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use qapi_runtime::Error;
use qapi_runtime::descriptor::Descriptors;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use thiserror::Error as ThisError;

use crate::qapi::{AddfdInfo, FdsetFdInfo, FdsetInfo};
use crate::sync::Mutex;

/// What one session has received and kept.
#[derive(Default)]
pub(crate) struct SessionDescriptors {
    received: Descriptors,
    named: Mutex<BTreeMap<String, OwnedFd>>,
}

impl SessionDescriptors {
    /// Takes what came with a message.
    pub(crate) fn received(&self, descriptors: Vec<OwnedFd>, bytes: &[u8]) {
        self.received.receive(descriptors, bytes);
    }

    /// Closes what no command has taken, since the bytes that it came with are consumed.
    pub(crate) fn close_consumed(&self) {
        self.received.close_consumed();
    }

    /// Closes what no command has taken out of what came.
    pub(crate) fn close_unclaimed(&self) {
        self.received.close_unclaimed();
    }

    /// Whether something waits for a command that takes it.
    pub(crate) fn has_unclaimed(&self) -> bool {
        !self.received.is_empty()
    }

    fn take(&self) -> Result<OwnedFd, Error> {
        let received = self.received.take();
        received.ok_or_else(|| Error::generic("No file descriptor supplied via SCM_RIGHTS"))
    }

    /// `getfd`
    pub(crate) fn keep(&self, name: String) -> Result<(), Error> {
        let descriptor = self.take()?;
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(Error::generic(
                "Parameter 'fdname' expects a name not starting with a digit",
            ));
        }
        self.named.lock().insert(name, descriptor);
        Ok(())
    }

    /// Takes one out for use, by its name.
    pub(crate) fn take_named(&self, name: &str) -> Result<OwnedFd, Error> {
        let taken = self.named.lock().remove(name);
        taken.ok_or_else(|| {
            Error::generic(format!("File descriptor named '{name}' has not been found"))
        })
    }

    /// `closefd`
    pub(crate) fn close(&self, name: &str) -> Result<(), Error> {
        match self.named.lock().remove(name) {
            Some(_) => Ok(()),
            None => Err(not_found(name)),
        }
    }
}

fn not_found(name: &str) -> Error {
    Error::generic(format!("File descriptor named '{name}' not found"))
}

/// What names of files begin with that stand for a descriptor out of a set.
const SET_PATH: &str = "/dev/fdset/";

/// The numbered sets, which all sessions share.
#[derive(Clone, Default)]
pub(crate) struct DescriptorSets(Arc<Mutex<BTreeMap<i64, Set>>>);

/// A set, which is there as long as it has descriptors or files that were opened out of it.
#[derive(Default)]
struct Set {
    kept: Vec<Kept>,
    n_uses: usize,
}

struct Kept {
    descriptor: OwnedFd,
    opaque: Option<String>,
}

/// Keeps a set while a file that was opened out of it is open.
pub(crate) struct SetUse {
    sets: DescriptorSets,
    number: i64,
}

/// Why no file could be opened out of a set. The texts are QEMU's.
#[derive(Debug, ThisError)]
pub(crate) enum SetError {
    #[error("Could not parse fdset {0}")]
    Malformed(String),
    #[error("Failed to find fdset {0}")]
    Missing(String),
    #[error("Failed to find file descriptor with matching flags={0:#x}")]
    NoMatch(u32),
    #[error("Failed to duplicate a file descriptor of fdset {0}")]
    System(String, #[source] Errno),
}

impl SetError {
    /// The same as a host tells it of files that it opens.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Malformed(_) => Errno::INVAL,
            Self::Missing(_) => Errno::NOENT,
            Self::NoMatch(_) => Errno::ACCESS,
            Self::System(_, error) => *error,
        }
    }
}

impl DescriptorSets {
    /// `add-fd`
    pub(crate) fn add(
        &self,
        session: &SessionDescriptors,
        set: Option<i64>,
        opaque: Option<String>,
    ) -> Result<AddfdInfo, Error> {
        let descriptor = session.take()?;
        if set.is_some_and(|set| set < 0) {
            return Err(Error::generic(
                "Parameter 'fdset-id' expects a non-negative value",
            ));
        }
        let mut sets = self.0.lock();
        let free = (0..i64::MAX).find(|number| !sets.contains_key(number));
        let Some(number) = set.or(free) else {
            return Err(Error::generic("no set is free"));
        };
        let fd = i64::from(descriptor.as_raw_fd());
        let kept = &mut sets.entry(number).or_default().kept;
        kept.push(Kept { descriptor, opaque });
        Ok(AddfdInfo {
            fdset_id: number,
            fd,
        })
    }

    /// `remove-fd`. A set in use stays, and is empty.
    pub(crate) fn remove(&self, number: i64, fd: Option<i64>) -> Result<(), Error> {
        let name = match fd {
            Some(fd) => format!("fdset-id:{number}, fd:{fd}"),
            None => format!("fdset-id:{number}"),
        };
        let mut sets = self.0.lock();
        let set = sets.get_mut(&number).ok_or_else(|| not_found(&name))?;
        match fd {
            None => set.kept.clear(),
            Some(fd) => {
                let is_it = |kept: &Kept| i64::from(kept.descriptor.as_raw_fd()) == fd;
                let index = set.kept.iter().position(is_it);
                set.kept.remove(index.ok_or_else(|| not_found(&name))?);
            }
        }
        forget_unused(&mut sets, number);
        Ok(())
    }

    /// `query-fdsets`
    pub(crate) fn query(&self) -> Vec<FdsetInfo> {
        let sets = self.0.lock();
        let info = |kept: &Kept| FdsetFdInfo {
            fd: i64::from(kept.descriptor.as_raw_fd()),
            opaque: kept.opaque.clone(),
        };
        // The newest first, as in QEMU, which gives each the lowest number that is free.
        sets.iter()
            .rev()
            .map(|(number, set)| FdsetInfo {
                fdset_id: *number,
                fds: set.kept.iter().map(info).collect(),
            })
            .collect()
    }

    /// Opens the file that a path of the form `/dev/fdset/N` stands for: a duplicate of the first descriptor of the set that
    /// was opened for the same access. `None` if the path has another form.
    pub(crate) fn open(
        &self,
        path: &str,
        wanted: OFlags,
    ) -> Option<Result<(OwnedFd, SetUse), SetError>> {
        let number = path.strip_prefix(SET_PATH)?;
        Some(self.open_out_of(path, parse_number(number), wanted))
    }

    fn open_out_of(
        &self,
        path: &str,
        number: Option<i64>,
        wanted: OFlags,
    ) -> Result<(OwnedFd, SetUse), SetError> {
        let number = number.ok_or_else(|| SetError::Malformed(path.to_owned()))?;
        let mut sets = self.0.lock();
        let set = sets
            .get_mut(&number)
            .ok_or_else(|| SetError::Missing(path.to_owned()))?;
        let decisive = OFlags::RWMODE | OFlags::DIRECT;
        let suits = |kept: &&Kept| {
            fcntl_getfl(&kept.descriptor).is_ok_and(|flags| flags & decisive == wanted & decisive)
        };
        let kept = set
            .kept
            .iter()
            .find(suits)
            .ok_or(SetError::NoMatch((wanted & decisive).bits()))?;
        let duplicate = fcntl_dupfd_cloexec(&kept.descriptor, 0)
            .map_err(|error| SetError::System(path.to_owned(), error))?;
        set.n_uses += 1;
        let in_use = SetUse {
            sets: self.clone(),
            number,
        };
        Ok((duplicate, in_use))
    }
}

impl Drop for SetUse {
    fn drop(&mut self) {
        let mut sets = self.sets.0.lock();
        if let Some(set) = sets.get_mut(&self.number) {
            set.n_uses -= 1;
        }
        forget_unused(&mut sets, self.number);
    }
}

/// Forgets a set that is empty and not used.
fn forget_unused(sets: &mut BTreeMap<i64, Set>, number: i64) {
    let is_unused = |set: &Set| set.kept.is_empty() && set.n_uses == 0;
    if sets.get(&number).is_some_and(is_unused) {
        sets.remove(&number);
    }
}

/// The number of a set, as C reads one: blanks and a plus may come before it.
fn parse_number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(|ch: char| ch.is_ascii_whitespace() || ch == '\x0b');
    let number: i64 = text.parse().ok()?;
    (number >= 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_sets() {
        for (text, number) in [
            ("1", Some(1)),
            ("01", Some(1)),
            ("+1", Some(1)),
            (" 1", Some(1)),
            ("1 ", None),
            ("0x1", None),
            ("-1", None),
            ("1/2", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
    }
}
