//! Something that is over once, and what is to be done then.

use crate::sync::Mutex;

/// What is done at the end: it must not block, and takes no lock that is held where the end is told.
type Callback = Box<dyn FnOnce() + Send>;

/// The end of a holder or of a loop.
#[derive(Default)]
pub(crate) struct Ending(Mutex<State>);

#[derive(Default)]
struct State {
    callbacks: Vec<Callback>,
    is_over: bool,
}

impl Ending {
    /// Calls `callback` at the end; now, if that has come.
    pub(crate) fn then(&self, callback: impl FnOnce() + Send + 'static) {
        {
            let mut state = self.0.lock();
            if !state.is_over {
                state.callbacks.push(Box::new(callback));
                return;
            }
        }
        callback();
    }

    /// Says that the end has come. Does nothing after the first time.
    pub(crate) fn finish(&self) {
        let callbacks = {
            let mut state = self.0.lock();
            state.is_over = true;
            std::mem::take(&mut state.callbacks)
        };
        for callback in callbacks {
            callback();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicUsize, Ordering};

    #[test]
    fn every_callback_is_called_once_at_the_end_or_after_it() {
        let ending = Ending::default();
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
