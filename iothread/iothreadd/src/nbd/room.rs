//! How a connection that waits for memory hears that there is some.

use std::sync::{Arc, Weak};
use std::task::Wake;

use super::transmission::Connection;
use crate::export::ContextRef;
use crate::sync::Mutex;

/// Tells a connection that there is memory for it, wherever it is. Others do so while they have their own states locked, so
/// this takes no state.
pub(super) struct Room {
    pub(super) connection: Weak<Connection>,
    pub(super) context: Mutex<Option<ContextRef>>,
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        let context = self.context.lock().clone();
        if let (Some(connection), Some(context)) = (self.connection.upgrade(), context) {
            // If it moves at this moment it looks by itself.
            let _ = context.post(move |_| connection.progress(false));
        }
    }
}
