//! On whose behalf this thread does what it does: for those who note what happens, and are not told.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static CURRENT: Cell<Option<Cause>> = const { Cell::new(None) };
}

/// Why something is done: a command, the command line, or the end of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    name: &'static str,
    /// Tells it apart from others of its name.
    number: u64,
}

impl Cause {
    /// A new one.
    pub(crate) fn new(name: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            name,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// That of what this thread does now.
    pub(crate) fn current() -> Option<Self> {
        // A thread that ends has none any more.
        CURRENT.try_with(Cell::get).ok().flatten()
    }

    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// What this thread does until the value is dropped has this cause.
    pub(crate) fn enter(self) -> Within {
        Within::enter(Some(self))
    }

    /// The same for all steps of a future.
    pub(crate) async fn during<T>(self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _within = self.enter();
            future.as_mut().poll(context)
        })
        .await
    }
}

/// Ends what [`Cause::enter`] has begun.
pub(crate) struct Within {
    before: Option<Cause>,
}

impl Within {
    /// Likewise, for something whose cause may not be known.
    pub(crate) fn enter(cause: Option<Cause>) -> Self {
        let before = CURRENT.try_with(|current| current.replace(cause));
        Self {
            before: before.ok().flatten(),
        }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        // A thread that ends has no cause any more.
        let _ = CURRENT.try_with(|current| current.set(self.before));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn causes_are_within_each_other() {
        assert_eq!(Cause::current(), None);
        let (outer, inner) = (Cause::new("a"), Cause::new("a"));
        assert_ne!(outer, inner);
        let within = outer.enter();
        {
            let _within = inner.enter();
            assert_eq!(Cause::current(), Some(inner));
            let _unknown = Within::enter(None);
            assert_eq!(Cause::current(), None);
        }
        assert_eq!(Cause::current(), Some(outer));
        drop(within);
        assert_eq!(Cause::current(), None);
    }
}
