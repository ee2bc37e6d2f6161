//! Locks on image files, understood by QEMU and its tools.
//!
//! They are locks of an open file description on single bytes. The byte 100 + N is locked by who uses permission N, and the
//! byte 200 + N by who does not share it; all these locks are shared ones. Who takes one looks for locks of others on its
//! counterpart.

use std::fs::File;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use qapi_runtime::Error;
use rustix::io::{Errno, retry_on_intr};

use crate::block::access::{Access, Permission};
use crate::sync::Mutex;

/// First of the bytes that are locked by users.
const USED: u64 = 100;

/// First of the bytes that are locked by those who do not share.
const UNSHARED: u64 = 200;

/// The locks on a file.
pub(super) struct ImageLocks {
    /// What is locked; `None` if locking is off.
    held: Option<Mutex<Access>>,
}

impl ImageLocks {
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            held: enabled.then(Mutex::default),
        }
    }

    /// Replaces what is locked; after an error it is as before.
    pub(super) fn set(&self, file: &File, access: Access) -> Result<(), Error> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        let mut held = held.lock();
        let before = *held;
        let result = take(file, before, access).and_then(|()| check(file, before, access));
        match result {
            Ok(()) => {
                release(file, access, before);
                *held = access;
                Ok(())
            }
            Err(error) => {
                release(file, before, access);
                Err(error)
            }
        }
    }
}

/// Locks the bytes of `after` that `before` did not need.
fn take(file: &File, before: Access, after: Access) -> Result<(), Error> {
    for permission in Permission::ALL {
        for (byte, is_held, is_wanted) in bytes(permission, before, after) {
            if is_wanted && !is_held {
                set_lock(file, byte, libc::F_RDLCK)
                    .map_err(|error| match error {
                        // The file system or the host does not know such locks, so no other process has one.
                        Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => Ok(()),
                        _ => Err(Error::generic(
                            "Failed to lock byte ".to_owned() + &byte.to_string(),
                        )),
                    })
                    .or_else(|outcome| outcome)?;
            }
        }
    }
    Ok(())
}

/// Unlocks the bytes of `unwanted` that `wanted` does not need. That does not fail on an open file.
fn release(file: &File, wanted: Access, unwanted: Access) {
    for permission in Permission::ALL {
        for (byte, is_wanted, is_locked) in bytes(permission, wanted, unwanted) {
            if is_locked && !is_wanted {
                // It cannot be told: at worst others are kept off for longer.
                let _ = set_lock(file, byte, libc::F_UNLCK);
            }
        }
    }
}

/// Looks for others that do not fit what is new.
fn check(file: &File, before: Access, after: Access) -> Result<(), Error> {
    for permission in Permission::ALL {
        let [used, unshared] = bytes(permission, before, after);
        let name = permission.name();
        if used.2 && !used.1 && is_locked_by_others(file, unshared.0) {
            return Err(Error::generic(format!("Failed to get \"{name}\" lock")));
        }
        if unshared.2 && !unshared.1 && is_locked_by_others(file, used.0) {
            return Err(Error::generic(format!(
                "Failed to get shared \"{name}\" lock"
            )));
        }
    }
    Ok(())
}

/// The two bytes of a permission, and whether each of two parties locks it.
fn bytes(permission: Permission, one: Access, other: Access) -> [(u64, bool, bool); 2] {
    let number = permission.number();
    [
        (
            USED + number,
            one.used.has(permission),
            other.used.has(permission),
        ),
        (
            UNSHARED + number,
            one.unshared.has(permission),
            other.unshared.has(permission),
        ),
    ]
}

fn description(byte: u64, kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: i64::try_from(byte).unwrap_or_default(),
        l_len: 1,
        l_pid: 0,
    }
}

fn set_lock(file: &File, byte: u64, kind: i32) -> Result<(), Errno> {
    let lock = description(byte, kind);
    let set = || fcntl(file, FcntlArg::F_OFD_SETLK(&lock));
    retry_on_intr(|| set().map_err(|error| Errno::from_raw_os_error(error as i32)))?;
    Ok(())
}

fn is_locked_by_others(file: &File, byte: u64) -> bool {
    let mut lock = description(byte, libc::F_WRLCK);
    let mut get = || fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock));
    let got = retry_on_intr(|| get().map_err(|error| Errno::from_raw_os_error(error as i32)));
    match got {
        Ok(_) => i32::from(lock.l_type) != libc::F_UNLCK,
        // It cannot be told, as above.
        Err(_) => false,
    }
}
