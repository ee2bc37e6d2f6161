//! Whether those who want to connect are let in: what the owner of a socket wants, and pauses after a failure.

use crate::sync::Mutex;

/// The two say at different times, on different threads, whether a socket is watched. It is if both agree.
pub(crate) struct Door {
    state: Mutex<State>,
}

struct State {
    is_wanted: bool,
    is_paused: bool,
}

impl Door {
    /// A door that is open.
    pub(crate) fn new() -> Self {
        let state = State {
            is_wanted: true,
            is_paused: false,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// The owner lets in, or no more. `watch` is told whether the socket is to be watched now; it is called under the lock, so that the
    /// last one to be called has the last word.
    pub(crate) fn set_wanted(&self, is_wanted: bool, watch: impl FnOnce(bool)) {
        self.change(|state| state.is_wanted = is_wanted, watch);
    }

    /// Begins or ends a pause, whatever the owner wants.
    pub(crate) fn set_paused(&self, is_paused: bool, watch: impl FnOnce(bool)) {
        self.change(|state| state.is_paused = is_paused, watch);
    }

    fn change(&self, change: impl FnOnce(&mut State), watch: impl FnOnce(bool)) {
        let mut state = self.state.lock();
        change(&mut state);
        watch(state.is_wanted && !state.is_paused);
    }
}
