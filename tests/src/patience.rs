//! Waiting for what must come to pass.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks; what is waited for may need this processor.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until something is so.
///
/// # Panics
///
/// When it is not so for [`PATIENCE`].
#[track_caller]
pub fn eventually(is_so: impl FnMut() -> bool) {
    assert!(comes_true(PATIENCE, is_so), "it does not come to pass");
}

/// Waits until something is so, but no longer than `patience`. Returns whether it is.
pub fn comes_true(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::park_timeout(PAUSE);
    }
}
