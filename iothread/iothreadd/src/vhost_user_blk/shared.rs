//! What the queues see of the device.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use qapi_runtime::budget::Budget;
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use super::config::{Geometry, has};
use super::memory::{BadMemory, Memory};
use crate::export::Common;
use crate::sync::Mutex;

/// What all queues of a client have in common.
pub(super) struct Shared {
    common: Arc<Common>,
    geometry: Geometry,
    memory: Mutex<Arc<Memory>>,
    /// Features that the driver has accepted.
    features: AtomicU64,
    /// Whether the driver wants writes to stay in a cache, where it may say so.
    has_write_cache: AtomicBool,
    /// The memory that queues of all exports share.
    budget: Budget,
    session: OnceLock<Weak<dyn Idle>>,
}

/// Who waits for queues to be idle.
pub(super) trait Idle: Send + Sync {
    /// A queue that has ended has no requests under way any more; on any thread.
    fn queue_is_idle(self: Arc<Self>);
}

impl Shared {
    pub(super) fn new(common: &Arc<Common>, geometry: Geometry, budget: &Budget) -> Self {
        Self {
            common: Arc::clone(common),
            geometry,
            memory: Mutex::default(),
            features: AtomicU64::new(0),
            has_write_cache: AtomicBool::new(!common.is_writethrough()),
            budget: budget.clone(),
            session: OnceLock::new(),
        }
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// As it is now: the node may have been given another size.
    pub(super) fn geometry(&self) -> Geometry {
        Geometry {
            size: self.common.backend().size(),
            ..self.geometry
        }
    }

    pub(super) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.lock())
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn features(&self) -> u64 {
        self.features.load(Ordering::Acquire)
    }

    /// Whether what is written has to be on stable storage when it is done: the export says so, the driver has switched
    /// the cache off, or it does not know that there is one and would never flush.
    pub(super) fn writes_through(&self) -> bool {
        let features = self.features();
        self.common.is_writethrough()
            || if has(features, VIRTIO_BLK_F_CONFIG_WCE) {
                !self.has_write_cache.load(Ordering::Acquire)
            } else {
                !has(features, VIRTIO_BLK_F_FLUSH)
            }
    }

    /// A queue that has ended has no requests under way any more.
    pub(super) fn queue_is_idle(&self) {
        if let Some(session) = self.session.get().and_then(Weak::upgrade) {
            session.queue_is_idle();
        }
    }

    pub(super) fn set_session(&self, session: Weak<dyn Idle>) {
        // Called once.
        let _ = self.session.set(session);
    }

    pub(super) fn set_features(&self, features: u64) {
        self.features.store(features, Ordering::Release);
    }

    /// Whether the driver is told that there is a cache, and that it is on.
    pub(super) fn has_write_cache(&self) -> bool {
        !self.common.is_writethrough() && self.has_write_cache.load(Ordering::Acquire)
    }

    pub(super) fn set_write_cache(&self, has_write_cache: bool) {
        self.has_write_cache
            .store(has_write_cache, Ordering::Release);
    }

    /// As new, for another driver of the same client.
    pub(super) fn reset(&self) {
        self.set_features(0);
        self.set_write_cache(!self.common.is_writethrough());
    }

    pub(super) fn change_memory(
        &self,
        change: impl FnOnce(&Memory) -> Result<Memory, BadMemory>,
    ) -> Result<(), BadMemory> {
        let mut memory = self.memory.lock();
        let changed = change(&memory)?;
        let former = std::mem::replace(&mut *memory, Arc::new(changed));
        // Unmapping takes a while.
        drop(memory);
        drop(former);
        Ok(())
    }
}
