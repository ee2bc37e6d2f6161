//! Waiting for what must come to pass.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks, at the least and at the most; what is waited for may need this processor.
const PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];

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
        let begun = Instant::now();
        if is_so() {
            return true;
        }
        let now = Instant::now();
        if now > deadline {
            return false;
        }
        // A look that is much work is taken more seldom.
        let [least, most] = PAUSE;
        std::thread::park_timeout((3 * (now - begun)).clamp(least, most));
    }
}
