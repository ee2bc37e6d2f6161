//! Something that is over once, and what is to be done then.

use crate::sync::Mutex;

/// What is done at the end: it must not block, and takes no lock that is held where the end is told.
type Callback = Box<dyn FnOnce() + Send>;

/// The end of a holder or of a loop.
pub(crate) struct Ending(Mutex<State>);

enum State {
    Ahead(Vec<Callback>),
    Over,
}

impl Ending {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::Ahead(Vec::new())))
    }

    /// Calls `callback` at the end; now, if that has come.
    pub(crate) fn then(&self, callback: impl FnOnce() + Send + 'static) {
        {
            let mut state = self.0.lock();
            if let State::Ahead(callbacks) = &mut *state {
                callbacks.push(Box::new(callback));
                return;
            }
        }
        callback();
    }

    /// Says that the end has come. Does nothing after the first time.
    pub(crate) fn finish(&self) {
        let state = std::mem::replace(&mut *self.0.lock(), State::Over);
        if let State::Ahead(callbacks) = state {
            for callback in callbacks {
                callback();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicUsize, Ordering};

    #[test]
    fn every_callback_is_called_once_at_the_end_or_after_it() {
        let ending = Ending::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let call = || {
            let calls = Arc::clone(&calls);
            move || {
                calls.fetch_add(1, Ordering::AcqRel);
            }
        };
        ending.then(call());
        ending.then(call());
        assert_eq!(calls.load(Ordering::Acquire), 0);
        ending.finish();
        assert_eq!(calls.load(Ordering::Acquire), 2);
        ending.then(call());
        ending.finish();
        assert_eq!(calls.load(Ordering::Acquire), 3);
    }
}
