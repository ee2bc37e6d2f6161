//! Futures of functions that block.

use crate::parking::run_until;

/// The value of a future that is made of functions which block.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    run_until(future, None).expect("it runs until it is over")
}
