//! How one that waits for memory hears that there is some.

use std::sync::Arc;
use std::task::Wake;

use iothread::SharedContext;

use crate::sync::Mutex;

/// Tells a connection or a queue that there is memory for it, wherever it is. Others do so while they have their own states
/// locked, so this takes no state.
pub(crate) struct Room {
    context: Mutex<Option<SharedContext>>,
    go_on: Arc<dyn Fn() + Send + Sync>,
}

impl Room {
    /// `go_on` is called where it is, as soon as it is somewhere.
    pub(crate) fn new(go_on: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            context: Mutex::default(),
            go_on: Arc::new(go_on),
        })
    }

    /// Says where it is.
    pub(crate) fn enter(&self, context: &SharedContext) {
        *self.context.lock() = Some(context.clone());
    }

    /// It is nowhere.
    pub(crate) fn leave(&self) {
        *self.context.lock() = None;
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        let context = self.context.lock().clone();
        if let Some(context) = context {
            let go_on = Arc::clone(&self.go_on);
            // If it moves at this moment it looks by itself.
            let _ = context.post(move |_| go_on());
        }
    }
}
