//! What is on offer to clients, and what they choose.

use std::sync::Arc;

use crate::sync::Mutex;

/// What a client may be told of an export.
pub(super) trait Exported {
    fn name(&self) -> &str;

    fn description(&self) -> Option<&str>;

    /// Bytes.
    fn size(&self) -> u64;

    fn is_writable(&self) -> bool;
}

/// What a client has chosen.
pub(super) struct Choice<E> {
    pub(super) export: Arc<E>,
    pub(super) structured_replies: bool,
    /// Whether `base:allocation` can be asked for.
    pub(super) base_allocation: bool,
}

impl<E> Clone for Choice<E> {
    fn clone(&self) -> Self {
        Self {
            export: Arc::clone(&self.export),
            ..*self
        }
    }
}

/// Looks up what is on offer.
pub(super) trait Offer<E> {
    /// All exports, in the order of their creation.
    fn exports(&self) -> Vec<Arc<E>>;

    /// Whether several connections of a client may share an export.
    fn allows_several_connections(&self) -> bool;
}

/// What a server has on offer.
pub(super) struct Offers<E> {
    exports: Mutex<Vec<Arc<E>>>,
    allows_several_connections: bool,
}

impl<E> Offers<E> {
    /// Nothing yet.
    pub(super) fn new(allows_several_connections: bool) -> Self {
        Self {
            exports: Mutex::default(),
            allows_several_connections,
        }
    }

    pub(super) fn add(&self, export: &Arc<E>) {
        self.exports.lock().push(Arc::clone(export));
    }

    pub(super) fn remove(&self, export: &E) {
        let is_other = |it: &Arc<E>| !std::ptr::eq(&**it, export);
        self.exports.lock().retain(is_other);
    }
}

impl<E> Offer<E> for Offers<E> {
    fn exports(&self) -> Vec<Arc<E>> {
        self.exports.lock().clone()
    }

    fn allows_several_connections(&self) -> bool {
        self.allows_several_connections
    }
}
