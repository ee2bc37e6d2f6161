//! The device as one client has it: what its messages change.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use iothread::SharedContext;
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

use super::config::{Geometry, WRITE_CACHE_OFFSET};
use super::counters::Counters;
use super::memory::{BadMemory, MAX_REGIONS, Memory};
use super::message::Barrier;
use super::queue::{Queue, Refused};
use super::ring::{Addresses, BrokenRing};
use super::shared::{Idle, Shared};
use crate::export::Common;

/// The device of one client.
pub(super) struct Device {
    shared: Arc<Shared>,
    queues: Vec<Arc<Queue>>,
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
        let shared = Arc::new(Shared::new(common, geometry, budget));
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

    pub(super) fn set_session(&self, session: Weak<dyn Idle>) {
        self.shared.set_session(session);
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

    fn guest_address(&self, address: u64) -> Result<vm_memory::GuestAddress> {
        let memory = self.shared.memory();
        memory.guest_address(address).ok_or(Error::InvalidParam)
    }
}

impl From<BadMemory> for Error {
    fn from(_: BadMemory) -> Self {
        Self::InvalidParam
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
        self.shared.reset();
        Ok(())
    }

    fn get_features(&self) -> Result<u64> {
        Ok(self.shared.geometry().features())
    }

    fn set_features(&self, features: u64) -> Result<()> {
        if features & !self.shared.geometry().features() != 0 {
            return Err(Error::FeatureMismatch);
        }
        self.shared.set_features(features);
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
        self.shared.change_memory(|_| Memory::new(regions, files))?;
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
        let has_write_cache = self.shared.has_write_cache();
        let space = self.shared.geometry().space(has_write_cache);
        let range = offset as usize..(offset as usize).saturating_add(size as usize);
        let part = space.get(range).ok_or(Error::InvalidParam)?;
        Ok(part.to_vec())
    }

    fn set_config(&self, offset: u32, bytes: &[u8], _flags: VhostUserConfigFlags) -> Result<()> {
        match bytes {
            [cache @ (0 | 1)] if offset == WRITE_CACHE_OFFSET => {
                self.shared.set_write_cache(*cache == 1);
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
        self.shared
            .change_memory(|memory| memory.with(region, file))?;
        Ok(None)
    }

    fn remove_mem_region(&self, region: &VhostUserSingleMemoryRegion) -> Result<()> {
        Ok(self.shared.change_memory(|memory| memory.without(region))?)
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
