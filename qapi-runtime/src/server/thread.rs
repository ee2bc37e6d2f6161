//! Work that blocks, on threads of tokio.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::Handle;

/// Does something on a thread for work that blocks.
///
/// # Errors
///
/// The host has no thread for it, or the runtime ends before it has begun.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let runtime = Handle::current();
    // tokio panics where the host has no thread. The work is dropped then.
    let begun = catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(work)));
    let begun = begun.map_err(|_| io::Error::other("cannot start a thread"))?;
    begun.await.map_err(io::Error::other)
}
