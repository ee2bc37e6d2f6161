//! Descriptors that clients pass along: those kept by name, and the numbered sets.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use qapi_runtime::Error;
use qapi_runtime::descriptor::Descriptors;

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

/// The numbered sets, which all sessions share.
#[derive(Default)]
pub(crate) struct DescriptorSets(Mutex<BTreeMap<i64, Vec<Kept>>>);

struct Kept {
    descriptor: OwnedFd,
    opaque: Option<String>,
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
        sets.entry(number)
            .or_default()
            .push(Kept { descriptor, opaque });
        Ok(AddfdInfo {
            fdset_id: number,
            fd,
        })
    }

    /// `remove-fd`
    pub(crate) fn remove(&self, set: i64, fd: Option<i64>) -> Result<(), Error> {
        let name = match fd {
            Some(fd) => format!("fdset-id:{set}, fd:{fd}"),
            None => format!("fdset-id:{set}"),
        };
        let mut sets = self.0.lock();
        let kept = sets.get_mut(&set).ok_or_else(|| not_found(&name))?;
        match fd {
            None => kept.clear(),
            Some(fd) => {
                let is_it = |kept: &Kept| i64::from(kept.descriptor.as_raw_fd()) == fd;
                let index = kept.iter().position(is_it);
                kept.remove(index.ok_or_else(|| not_found(&name))?);
            }
        }
        if kept.is_empty() {
            sets.remove(&set);
        }
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
            .map(|(number, kept)| FdsetInfo {
                fdset_id: *number,
                fds: kept.iter().map(info).collect(),
            })
            .collect()
    }
}
