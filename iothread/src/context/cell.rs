//! The place of one callback: lent to the loop while it runs, emptied by the thread that removes it.

use crate::sync::Mutex;

/// Holds a callback that only the loop's thread runs and that any thread may remove.
pub(crate) struct CallbackCell<F: ?Sized>(Mutex<Slot<F>>);

enum Slot<F: ?Sized> {
    Present(Box<F>),
    /// The loop's thread has it.
    Running,
    Removed,
}

impl<F: ?Sized> CallbackCell<F> {
    pub(crate) fn new(callback: Box<F>) -> Self {
        Self(Mutex::new(Slot::Present(callback)))
    }

    /// Takes the callback to run it; `None` once it is removed.
    pub(crate) fn take(&self) -> Option<Box<F>> {
        let mut slot = self.0.lock();
        match std::mem::replace(&mut *slot, Slot::Running) {
            Slot::Present(callback) => Some(callback),
            Slot::Running => None,
            Slot::Removed => {
                *slot = Slot::Removed;
                None
            }
        }
    }

    /// Gives the callback back; it is returned if it has been removed meanwhile, for the caller to drop.
    pub(crate) fn put_back(&self, callback: Box<F>) -> Option<Box<F>> {
        let mut slot = self.0.lock();
        match *slot {
            Slot::Present(_) | Slot::Running => {
                *slot = Slot::Present(callback);
                None
            }
            Slot::Removed => Some(callback),
        }
    }

    /// Removes the callback and returns it, unless it is running: then the loop's thread drops it.
    pub(crate) fn remove(&self) -> Option<Box<F>> {
        match std::mem::replace(&mut *self.0.lock(), Slot::Removed) {
            Slot::Present(callback) => Some(callback),
            Slot::Running | Slot::Removed => None,
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        matches!(*self.0.lock(), Slot::Removed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_callback_removed_while_it_runs_is_left_to_the_loop() {
        let cell: CallbackCell<dyn Fn() -> u32 + Send> = CallbackCell::new(Box::new(|| 1));
        let callback = cell.take().unwrap();
        assert!(cell.take().is_none());
        assert!(cell.remove().is_none());
        assert_eq!(callback(), 1);
        assert!(cell.put_back(callback).is_some());
        assert!(cell.take().is_none());
        assert!(cell.is_removed());
    }

    #[test]
    fn a_callback_removed_while_it_rests_is_handed_out() {
        let cell: CallbackCell<dyn Fn() -> u32 + Send> = CallbackCell::new(Box::new(|| 2));
        let callback = cell.take().unwrap();
        assert!(cell.put_back(callback).is_none());
        assert!(!cell.is_removed());
        assert!(cell.remove().is_some_and(|callback| callback() == 2));
        assert!(cell.remove().is_none());
    }
}
