//! A conformance kit for QMP clients in any language.
//!
//! A driver is a small program that takes steps with the client that it is for, and tells what comes of them; `CONFORMANCE.md` is
//! the protocol between it and the kit. The kit has a server of its own, with [`crate::torment`] in front of it, gives the driver the
//! steps of a profile, and compares what comes of them with what is right, which `profiles.json` says.

mod drive;
mod driver;
mod profiles;
mod service;
mod verdict;

use std::io;
use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::mock::Mock;
use serde_json::Value;

use self::driver::Driver;
use self::service::service;
use crate::torment::{Profile, Torment};

pub use self::drive::drive;
pub use self::profiles::{Steps, right};
pub use self::verdict::{Mistake, Verdict};

/// How much longer than its step a driver may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a driver, which the shell starts, against one profile.
///
/// # Errors
///
/// What the system refuses. That a driver does not start, crashes or hangs is a mistake of the driver, not an error.
pub fn run(profile: Profile, command: &str) -> io::Result<Verdict> {
    run_within(profile, command, PATIENCE)
}

/// As [`run`], but a driver hangs if it says nothing for so much longer than its step may take.
///
/// # Errors
///
/// As [`run`].
pub fn run_within(profile: Profile, command: &str, patience: Duration) -> io::Result<Verdict> {
    let steps = right(profile);
    let server = Mock::with_service(service()).start()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("qmp");
    let torment = Torment::new(server.address(), profile)
        .listen(Address::unix(&path))
        .until_released()
        .start()?;
    let mut driver = Driver::start(command)?;
    let mut verdict = Verdict::new(profile);
    for (n, step) in steps.steps.iter().enumerate() {
        let told = driver.take(&profiles::to_be_taken(step, &path), patience);
        let is_right = profiles::is_right(&step["right"], &told);
        verdict.add(n, step, told);
        if step["then"] == "release" {
            torment.release();
        }
        if !is_right {
            // What comes after it says nothing about the profile.
            return Ok(verdict);
        }
    }
    for (command, n_right) in &steps.heard {
        let n_heard = torment.n_heard(command);
        if n_heard != *n_right {
            verdict.count(command, n_heard, *n_right);
        }
    }
    Ok(verdict)
}

/// A member of a step.
fn member<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
