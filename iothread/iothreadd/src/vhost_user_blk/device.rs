//! The device as one client has it: what its messages change.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use qapi_runtime::budget::Budget;
use vhost::VhostUserMemoryRegionBase;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight,
    VhostUserLog, VhostUserMemoryRegion, VhostUserShMemConfig, VhostUserSharedMsg,
    VhostUserSingleMemoryRegion, VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{
    Error, GpuBackend, Result, VhostUserBackendReqHandler, VhostUserProtocolFeatures,
    VhostUserVirtioFeatures,
};
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use super::config::{Geometry, WRITE_CACHE_OFFSET, has};
use super::counters::Counters;
use super::memory::{BadMemory, MAX_REGIONS, Memory};
use super::message::Barrier;
use super::queue::{Queue, Refused};
use super::ring::{Addresses, BrokenRing};
use super::session::Session;
use iothread::SharedContext;

use crate::export::Common;
use crate::sync::Mutex;

/// What the queues see of the device.
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
    session: OnceLock<Weak<Session>>,
}

/// The device of one client.
pub(super) struct Device {
    shared: Arc<Shared>,
    queues: Vec<Arc<Queue>>,
}

impl Shared {
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
}

impl Device {
    /// Makes a device whose queues take turns at the contexts.
    pub(super) fn new(
        common: &Arc<Common>,
        geometry: Geometry,
        counters: &[Arc<Counters>],
        contexts: &[SharedContext],
        budget: &Budget,
    ) -> std::result::Result<Self, BrokenRing> {
        let shared = Arc::new(Shared {
            common: Arc::clone(common),
            geometry,
            memory: Mutex::default(),
            features: AtomicU64::new(0),
            has_write_cache: AtomicBool::new(!common.is_writethrough()),
            budget: budget.clone(),
            session: OnceLock::new(),
        });
        let contexts = contexts.iter().cycle();
        let queue = |(counters, context): (_, &SharedContext)| {
            Queue::new(&shared, counters, context.clone())
        };
        let queues = counters.iter().zip(contexts).map(queue);
        Ok(Self {
            queues: queues.collect::<std::result::Result<_, _>>()?,
            shared,
        })
    }

    pub(super) fn set_session(&self, session: &Weak<Session>) {
        // Called once.
        let _ = self.shared.session.set(Weak::clone(session));
    }

    pub(super) fn queues(&self) -> &[Arc<Queue>] {
        &self.queues
    }

    /// Ends what has to be over before a message is handled. Returns whether it is; if not, the session hears of it.
    pub(super) fn pass(&self, barrier: &Barrier) -> bool {
        match barrier {
            Barrier::None => true,
            Barrier::Queue(index) => {
                self.queue(*index).is_ok_and(|queue| queue.stop()) || self.queue(*index).is_err()
            }
            Barrier::Device => self.stop(),
        }
    }

    /// Ends all queues. Returns whether no request is under way.
    pub(super) fn stop(&self) -> bool {
        // All of them have to be told.
        self.queues.iter().fold(true, |idle, it| it.stop() & idle)
    }

    /// Whether all queues have ended and no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.iter().all(|queue| queue.is_idle())
    }

    /// Answers what is under way as failed. All queues have ended.
    pub(super) fn give_up(&self) {
        for queue in &self.queues {
            queue.give_up();
        }
    }

    /// Leaves the contexts, for good. All queues are idle.
    pub(super) fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
    }

    fn queue(&self, index: u32) -> Result<&Arc<Queue>> {
        let queue = usize::try_from(index)
            .ok()
            .and_then(|it| self.queues.get(it));
        queue.ok_or(Error::InvalidParam)
    }

    fn change_memory(
        &self,
        change: impl FnOnce(&Memory) -> std::result::Result<Memory, BadMemory>,
    ) -> Result<()> {
        let mut memory = self.shared.memory.lock();
        let changed = change(&memory).map_err(|_| Error::InvalidParam)?;
        let former = std::mem::replace(&mut *memory, Arc::new(changed));
        // Unmapping takes a while.
        drop(memory);
        drop(former);
        Ok(())
    }

    fn guest_address(&self, address: u64) -> Result<vm_memory::GuestAddress> {
        let memory = self.shared.memory.lock();
        memory.guest_address(address).ok_or(Error::InvalidParam)
    }
}

impl From<Refused> for Error {
    fn from(_: Refused) -> Self {
        Self::InvalidParam
    }
}

const NOT_OFFERED: Error = Error::InvalidOperation("the feature was not offered");

impl VhostUserBackendReqHandler for Device {
    fn set_owner(&self) -> Result<()> {
        Ok(())
    }

    /// Backends are free to ignore this old message.
    fn reset_owner(&self) -> Result<()> {
        Ok(())
    }

    /// The queues have ended by now.
    fn reset_device(&self) -> Result<()> {
        for queue in &self.queues {
            queue.reset();
        }
        self.shared.features.store(0, Ordering::Release);
        let has_write_cache = !self.shared.common.is_writethrough();
        self.shared
            .has_write_cache
            .store(has_write_cache, Ordering::Release);
        Ok(())
    }

    fn get_features(&self) -> Result<u64> {
        Ok(self.shared.geometry().features())
    }

    fn set_features(&self, features: u64) -> Result<()> {
        if features & !self.shared.geometry().features() != 0 {
            return Err(Error::FeatureMismatch);
        }
        self.shared.features.store(features, Ordering::Release);
        if features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() == 0 {
            // Who does not know of it cannot enable queues.
            for queue in &self.queues {
                queue.set_enabled(true)?;
            }
        }
        Ok(())
    }

    fn set_mem_table(
        &self,
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _postcopy: Option<bool>,
    ) -> Result<Option<Vec<VhostUserMemoryRegionBase>>> {
        self.change_memory(|_| Memory::new(regions, files))?;
        Ok(None)
    }

    fn set_vring_num(&self, index: u32, size: u32) -> Result<()> {
        Ok(self.queue(index)?.set_size(size)?)
    }

    fn set_vring_addr(
        &self,
        index: u32,
        _flags: VhostUserVringAddrFlags,
        descriptors: u64,
        used: u64,
        available: u64,
        _log: u64,
    ) -> Result<()> {
        let addresses = Addresses {
            descriptors: self.guest_address(descriptors)?,
            available: self.guest_address(available)?,
            used: self.guest_address(used)?,
        };
        Ok(self.queue(index)?.set_addresses(&addresses)?)
    }

    fn set_vring_base(&self, index: u32, base: u32) -> Result<()> {
        Ok(self.queue(index)?.set_base(base)?)
    }

    /// The queue has ended by now.
    fn get_vring_base(&self, index: u32) -> Result<VhostUserVringState> {
        let base = self.queue(index)?.base();
        Ok(VhostUserVringState::new(index, base.into()))
    }

    fn set_vring_kick(&self, index: u8, kick: Option<File>) -> Result<()> {
        // Looking for requests without ever being notified is not supported.
        let kick = kick.ok_or(Error::InvalidParam)?;
        Ok(self.queue(index.into())?.start(kick.into())?)
    }

    fn set_vring_call(&self, index: u8, call: Option<File>) -> Result<()> {
        Ok(self
            .queue(index.into())?
            .set_call(call.map(OwnedFd::from))?)
    }

    fn set_vring_err(&self, index: u8, err: Option<File>) -> Result<()> {
        Ok(self.queue(index.into())?.set_err(err.map(OwnedFd::from))?)
    }

    fn get_protocol_features(&self) -> Result<VhostUserProtocolFeatures> {
        Ok(VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::RESET_DEVICE
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS)
    }

    fn set_protocol_features(&self, _features: u64) -> Result<()> {
        Ok(())
    }

    fn get_queue_num(&self) -> Result<u64> {
        Ok(self.queues.len() as u64)
    }

    fn set_vring_enable(&self, index: u32, enable: bool) -> Result<()> {
        Ok(self.queue(index)?.set_enabled(enable)?)
    }

    fn get_config(&self, offset: u32, size: u32, _flags: VhostUserConfigFlags) -> Result<Vec<u8>> {
        let has_write_cache = !self.shared.common.is_writethrough()
            && self.shared.has_write_cache.load(Ordering::Acquire);
        let space = self.shared.geometry().space(has_write_cache);
        let range = offset as usize..(offset as usize).saturating_add(size as usize);
        let part = space.get(range).ok_or(Error::InvalidParam)?;
        Ok(part.to_vec())
    }

    fn set_config(&self, offset: u32, bytes: &[u8], _flags: VhostUserConfigFlags) -> Result<()> {
        match bytes {
            [cache @ (0 | 1)] if offset == WRITE_CACHE_OFFSET => {
                self.shared
                    .has_write_cache
                    .store(*cache == 1, Ordering::Release);
                Ok(())
            }
            _ => Err(Error::InvalidParam),
        }
    }

    fn set_gpu_socket(&self, _gpu: GpuBackend) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shared_object(&self, _object: VhostUserSharedMsg) -> Result<File> {
        Err(NOT_OFFERED)
    }

    fn get_inflight_fd(&self, _: &VhostUserInflight) -> Result<(VhostUserInflight, File)> {
        Err(NOT_OFFERED)
    }

    fn set_inflight_fd(&self, _: &VhostUserInflight, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_max_mem_slots(&self) -> Result<u64> {
        Ok(MAX_REGIONS as u64)
    }

    fn add_mem_region(
        &self,
        region: &VhostUserSingleMemoryRegion,
        file: File,
        _postcopy: Option<bool>,
    ) -> Result<Option<VhostUserMemoryRegionBase>> {
        self.change_memory(|memory| memory.with(region, file))?;
        Ok(None)
    }

    fn remove_mem_region(&self, region: &VhostUserSingleMemoryRegion) -> Result<()> {
        self.change_memory(|memory| memory.without(region))
    }

    fn set_device_state_fd(
        &self,
        _direction: VhostTransferStateDirection,
        _phase: VhostTransferStatePhase,
        _file: File,
    ) -> Result<Option<File>> {
        Err(NOT_OFFERED)
    }

    fn check_device_state(&self) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shmem_config(&self) -> Result<VhostUserShMemConfig> {
        Err(NOT_OFFERED)
    }

    fn set_log_base(&self, _log: &VhostUserLog, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }
}
