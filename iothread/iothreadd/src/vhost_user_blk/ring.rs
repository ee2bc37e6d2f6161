//! A virtqueue's part in the guest's memory, and the descriptors by which the two sides wake each other.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VRING_AVAIL_F_NO_INTERRUPT};
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::config::{Geometry, has};
use super::memory::Memory;
use super::request::GuestRequest;

/// The longest queue, as in QEMU.
pub(super) const MAX_SIZE: u16 = 1024;

/// The ring, as the client has set it up.
pub(super) struct Ring {
    queue: Queue,
    /// Whether the client has said where it is.
    has_place: bool,
    /// Where the guest is told that requests are done.
    call: Option<OwnedFd>,
    /// Where the client is told that the ring is broken.
    err: Option<OwnedFd>,
}

/// The ring cannot be used: its place is not memory, or what the guest has written there makes no sense.
#[derive(Debug)]
pub(super) struct BrokenRing;

impl From<virtio_queue::Error> for BrokenRing {
    fn from(_: virtio_queue::Error) -> Self {
        Self
    }
}

/// Where the parts of a ring are.
pub(super) struct Addresses {
    pub(super) descriptors: GuestAddress,
    pub(super) available: GuestAddress,
    pub(super) used: GuestAddress,
}

impl Ring {
    pub(super) fn new() -> Result<Self, BrokenRing> {
        Ok(Self {
            queue: Queue::new(MAX_SIZE)?,
            has_place: false,
            call: None,
            err: None,
        })
    }

    pub(super) fn set_size(&mut self, size: u32) -> Result<(), BrokenRing> {
        let size = u16::try_from(size).map_err(|_| BrokenRing)?;
        Ok(self.queue.try_set_size(size)?)
    }

    pub(super) fn size(&self) -> usize {
        self.queue.size().into()
    }

    pub(super) fn set_addresses(&mut self, addresses: &Addresses) -> Result<(), BrokenRing> {
        self.queue
            .try_set_desc_table_address(addresses.descriptors)?;
        self.queue.try_set_avail_ring_address(addresses.available)?;
        self.queue.try_set_used_ring_address(addresses.used)?;
        self.has_place = true;
        Ok(())
    }

    /// Where the next request is looked for.
    pub(super) fn set_base(&mut self, base: u32) -> Result<(), BrokenRing> {
        let base = u16::try_from(base).map_err(|_| BrokenRing)?;
        self.queue.set_next_avail(base);
        Ok(())
    }

    pub(super) fn base(&self) -> u16 {
        self.queue.next_avail()
    }

    pub(super) fn set_call(&mut self, call: Option<OwnedFd>) {
        self.call = call;
    }

    pub(super) fn set_err(&mut self, err: Option<OwnedFd>) {
        self.err = err;
    }

    /// Begins to work.
    pub(super) fn start(&mut self, memory: &Memory, features: u64) -> Result<(), BrokenRing> {
        if !self.has_place {
            return Err(BrokenRing);
        }
        self.queue
            .set_event_idx(has(features, VIRTIO_RING_F_EVENT_IDX));
        self.queue.set_ready(true);
        self.check(memory)?;
        let used = self.queue.used_idx(memory.guest(), Ordering::Acquire)?;
        self.queue.set_next_used(used.0);
        Ok(())
    }

    pub(super) fn stop(&mut self) {
        self.queue.set_ready(false);
    }

    /// As new.
    pub(super) fn reset(&mut self) {
        self.queue.reset();
        self.has_place = false;
        self.call = None;
        self.err = None;
    }

    /// Whether all of it is in the guest's memory.
    pub(super) fn check(&self, memory: &Memory) -> Result<(), BrokenRing> {
        if self.queue.is_valid(memory.guest()) {
            Ok(())
        } else {
            Err(BrokenRing)
        }
    }

    /// Whether there are requests that were not taken yet.
    pub(super) fn has_requests(&self, memory: &Memory) -> bool {
        self.queue
            .avail_idx(memory.guest(), Ordering::Acquire)
            .is_ok_and(|available| available.0 != self.queue.next_avail())
    }

    /// Takes the next request.
    pub(super) fn pop(
        &mut self,
        memory: &Memory,
        geometry: &Geometry,
    ) -> Result<Option<GuestRequest>, BrokenRing> {
        // An error is an index that is too far ahead.
        let next = self.queue.iter(memory.guest())?.next();
        Ok(next.map(|chain| GuestRequest::read(chain, memory, geometry)))
    }

    /// Leaves the request that was taken last for later.
    pub(super) fn put_back(&mut self) {
        let next = self.queue.next_avail().wrapping_sub(1);
        self.queue.set_next_avail(next);
    }

    /// Gives a request back, of whose memory `written` bytes were written.
    pub(super) fn push(
        &mut self,
        memory: &Memory,
        head: u16,
        written: u32,
    ) -> Result<(), BrokenRing> {
        Ok(self.queue.add_used(memory.guest(), head, written)?)
    }

    /// Lets the guest notify of new requests, or asks it not to. Returns whether there are some that it may not have
    /// notified of.
    pub(super) fn set_notification(
        &mut self,
        memory: &Memory,
        enabled: bool,
    ) -> Result<bool, BrokenRing> {
        if enabled {
            return Ok(self.queue.enable_notification(memory.guest())?);
        }
        self.queue.disable_notification(memory.guest())?;
        Ok(false)
    }

    /// Tells the guest about the requests that were given back, if it wants to know.
    pub(super) fn notify_guest(&mut self, memory: &Memory) -> Result<(), BrokenRing> {
        if self.queue.needs_notification(memory.guest())? && !self.is_silenced(memory)? {
            self.call();
        }
        Ok(())
    }

    /// Whether the guest polls; what it says otherwise, the library looks after.
    fn is_silenced(&self, memory: &Memory) -> Result<bool, BrokenRing> {
        if self.queue.event_idx_enabled() {
            return Ok(false);
        }
        let flags: u16 = memory
            .guest()
            .load(GuestAddress(self.queue.avail_ring()), Ordering::Relaxed)
            .map_err(|_| BrokenRing)?;
        Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT != 0)
    }

    /// Wakes the guest.
    pub(super) fn call(&self) {
        signal(self.call.as_ref());
    }

    /// Tells the client that the ring cannot be used any more.
    pub(super) fn report_broken(&self) {
        signal(self.err.as_ref());
    }
}

/// Adds 1 to an eventfd. The write fails if only we have the eventfd, or if the counter is full, which is news enough for the other
/// side.
fn signal(descriptor: Option<&OwnedFd>) {
    if let Some(descriptor) = descriptor {
        let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
    }
}

/// Makes a descriptor of the client's usable on an event loop, which must never wait for it.
pub(super) fn without_waiting(descriptor: OwnedFd) -> Result<OwnedFd, BrokenRing> {
    rustix::io::ioctl_fionbio(&descriptor, true).map_err(|_| BrokenRing)?;
    Ok(descriptor)
}
