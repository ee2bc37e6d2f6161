//! A guest without a virtual machine: memory, queues in it, and the client's side of vhost-user.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::{
    Frontend, VhostUserFrontend, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Numbers of the specification, written out here once more so that a mistake in the server's is found.
pub(crate) const IN: u32 = 0;
pub(crate) const OUT: u32 = 1;
pub(crate) const FLUSH: u32 = 4;
pub(crate) const GET_ID: u32 = 8;
pub(crate) const DISCARD: u32 = 11;
pub(crate) const WRITE_ZEROES: u32 = 13;

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

pub(crate) const EVENT_IDX: u64 = 1 << 29;

/// Descriptors of a queue.
pub(crate) const QUEUE_SIZE: u16 = 64;

/// Bytes of the guest's memory.
pub(crate) const MEMORY_SIZE: u64 = 32 << 20;

/// Where the client has the guest's memory, as it says; nobody looks there.
const CLIENT_BASE: u64 = 0x7f00_0000_0000;

/// Where requests have their headers, their status and their data.
const HEADER: u64 = 0x10_0000;
const STATUS: u64 = 0x10_1000;
pub(crate) const DATA: u64 = 0x20_0000;

/// A status that no device writes.
const UNTOUCHED: u8 = 0xee;

/// A descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub(crate) address: u64,
    pub(crate) length: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

impl Descriptor {
    pub(crate) fn with_next(self, next: u16) -> Self {
        Self { next, ..self }
    }
}

pub(crate) struct Queue {
    base: u64,
    kick: EventFd,
    call: EventFd,
    err: EventFd,
    next_available: u16,
    next_used: u16,
}

pub(crate) struct Guest {
    pub(crate) frontend: Frontend,
    file: Arc<File>,
    pub(crate) memory: GuestMemoryMmap,
    pub(crate) queues: Vec<Queue>,
}

impl Queue {
    /// Notifies the device.
    pub(crate) fn kick(&self) {
        self.kick.write(1).unwrap();
    }
}

impl Guest {
    /// Connects and starts all queues, as a driver does that knows everything but these features.
    pub(crate) fn start(socket: &Path, num_queues: usize, without: u64) -> Self {
        let mut guest = Self::connect(socket, num_queues);
        let offered = guest.frontend.get_features().unwrap();
        guest.negotiate(offered & !without);
        for index in 0..num_queues {
            guest.start_queue(index);
        }
        guest
    }

    /// Connects, with memory that the server does not know of yet.
    pub(crate) fn connect(socket: &Path, num_queues: usize) -> Self {
        let frontend = Frontend::connect(socket, num_queues as u64).unwrap();
        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(MEMORY_SIZE).unwrap();
        let file = Arc::new(file);
        let range = (
            GuestAddress(0),
            usize::try_from(MEMORY_SIZE).unwrap(),
            Some(FileOffset::from_arc(Arc::clone(&file), 0)),
        );
        let queue = |index: usize| Queue {
            base: 0x1_0000 * (index as u64 + 1),
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
            err: EventFd::new(EFD_NONBLOCK).unwrap(),
            next_available: 0,
            next_used: 0,
        };
        Self {
            frontend,
            file,
            memory: GuestMemoryMmap::from_ranges_with_files([range]).unwrap(),
            queues: (0..num_queues).map(queue).collect(),
        }
    }

    pub(crate) fn negotiate(&mut self, features: u64) {
        let frontend = &mut self.frontend;
        frontend.set_owner().unwrap();
        frontend.set_features(features).unwrap();
        let with_protocol = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        if features & with_protocol != 0 {
            let offered = frontend.get_protocol_features().unwrap();
            let wanted = VhostUserProtocolFeatures::MQ
                | VhostUserProtocolFeatures::CONFIG
                | VhostUserProtocolFeatures::REPLY_ACK
                | VhostUserProtocolFeatures::RESET_DEVICE
                | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
            assert_eq!(offered & wanted, wanted);
            frontend.set_protocol_features(wanted).unwrap();
            frontend.set_hdr_flags(vhost::vhost_user::message::VhostUserHeaderFlag::NEED_REPLY);
        }
        let region = self.region();
        self.frontend.set_mem_table(&[region]).unwrap();
    }

    /// All of the memory.
    pub(crate) fn region(&self) -> VhostUserMemoryRegionInfo {
        VhostUserMemoryRegionInfo {
            guest_phys_addr: 0,
            memory_size: MEMORY_SIZE,
            userspace_addr: CLIENT_BASE,
            mmap_offset: 0,
            mmap_handle: self.file.as_raw_fd(),
        }
    }

    /// Where the client says that a queue is.
    pub(crate) fn addresses(&self, index: usize) -> VringConfigData {
        let base = CLIENT_BASE + self.queues[index].base;
        VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: 0,
            desc_table_addr: base,
            avail_ring_addr: base + 0x1000,
            used_ring_addr: base + 0x2000,
            log_addr: None,
        }
    }

    pub(crate) fn start_queue(&mut self, index: usize) {
        self.start_queue_at(index, self.queues[index].next_available);
    }

    pub(crate) fn start_queue_at(&mut self, index: usize, base: u16) {
        let addresses = self.addresses(index);
        let queue = &self.queues[index];
        let frontend = &mut self.frontend;
        frontend.set_vring_num(index, QUEUE_SIZE).unwrap();
        frontend.set_vring_base(index, base).unwrap();
        frontend.set_vring_addr(index, &addresses).unwrap();
        frontend.set_vring_err(index, &queue.err).unwrap();
        frontend.set_vring_kick(index, &queue.kick).unwrap();
        frontend.set_vring_call(index, &queue.call).unwrap();
        // Without these features queues are enabled already.
        let _ = frontend.set_vring_enable(index, true);
    }

    /// Hangs up without ending the queues.
    pub(crate) fn disconnect(&mut self) {
        let (nobody, _) = UnixStream::pair().unwrap();
        self.frontend = Frontend::from_stream(nobody, self.queues.len() as u64);
    }

    /// Goes on at another server as a virtual machine monitor does: what is in the queues says how far the former one came.
    pub(crate) fn reconnect(&mut self, socket: &Path) {
        self.frontend = Frontend::connect(socket, self.queues.len() as u64).unwrap();
        let offered = self.frontend.get_features().unwrap();
        self.negotiate(offered);
        for index in 0..self.queues.len() {
            let base = self.used(index);
            self.start_queue_at(index, base);
        }
    }

    /// Ends a queue and sets it up as new.
    pub(crate) fn restart_queue(&mut self, index: usize) {
        self.frontend.get_vring_base(index).unwrap();
        let base = self.queues[index].base;
        self.write(base, &[0; 0x3000]);
        self.queues[index].next_available = 0;
        self.queues[index].next_used = 0;
        self.start_queue(index);
    }

    /// Part of the configuration space.
    pub(crate) fn config(&mut self, offset: u32, size: u32) -> Vec<u8> {
        let flags = VhostUserConfigFlags::empty();
        let bytes = vec![0; size as usize];
        let config = self.frontend.get_config(offset, size, flags, &bytes);
        config.unwrap().1
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        let address = GuestAddress(address);
        self.memory.write_slice(bytes, address).unwrap();
    }

    pub(crate) fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let address = GuestAddress(address);
        self.memory.read_slice(&mut bytes, address).unwrap();
        bytes
    }

    pub(crate) fn write_descriptor(&self, address: u64, descriptor: Descriptor) {
        let mut bytes = descriptor.address.to_le_bytes().to_vec();
        bytes.extend(descriptor.length.to_le_bytes());
        bytes.extend(descriptor.flags.to_le_bytes());
        bytes.extend(descriptor.next.to_le_bytes());
        self.write(address, &bytes);
    }

    /// Puts one descriptor into a queue's table.
    pub(crate) fn write_at(&self, index: usize, position: u16, descriptor: Descriptor) {
        let address = self.queues[index].base + 16 * u64::from(position);
        self.write_descriptor(address, descriptor);
    }

    /// Puts descriptors at the beginning of a queue's table.
    pub(crate) fn write_chain(&self, index: usize, chain: &[Descriptor]) {
        for (position, descriptor) in chain.iter().enumerate() {
            self.write_at(index, u16::try_from(position).unwrap(), *descriptor);
        }
    }

    /// Makes the chain that begins with a descriptor available, and notifies.
    pub(crate) fn submit(&mut self, index: usize, head: u16) {
        let queue = &mut self.queues[index];
        let slot = u64::from(queue.next_available % QUEUE_SIZE);
        queue.next_available = queue.next_available.wrapping_add(1);
        let (entry, available) = (queue.base + 0x1004 + 2 * slot, queue.next_available);
        self.write(entry, &head.to_le_bytes());
        self.set_available(index, available);
    }

    /// Says how many chains are available, and notifies.
    pub(crate) fn set_available(&self, index: usize, available: u16) {
        fence(Ordering::SeqCst);
        let queue = &self.queues[index];
        self.write(queue.base + 0x1002, &available.to_le_bytes());
        queue.kick();
    }

    /// Asks not to be told of chains that are given back, as a driver does that polls.
    pub(crate) fn silence(&self, index: usize) {
        self.write(self.queues[index].base + 0x1000, &1_u16.to_le_bytes());
    }

    /// How many chains the device has given back so far.
    pub(crate) fn used(&self, index: usize) -> u16 {
        let bytes = self.read(self.queues[index].base + 0x2002, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    /// Waits for a chain to be given back. Returns its head, and how much was written.
    pub(crate) fn wait(&mut self, index: usize) -> (u32, u32) {
        loop {
            let queue = &self.queues[index];
            // Asks to be told when one more than so far is done.
            let used_event = queue.base + 0x1004 + 2 * u64::from(QUEUE_SIZE);
            self.write(used_event, &queue.next_used.to_le_bytes());
            fence(Ordering::SeqCst);
            if self.used(index) != queue.next_used {
                break;
            }
            assert!(
                wait_for(&self.queues[index].call),
                "queue {index} does not answer"
            );
        }
        fence(Ordering::SeqCst);
        let queue = &mut self.queues[index];
        let slot = u64::from(queue.next_used % QUEUE_SIZE);
        queue.next_used = queue.next_used.wrapping_add(1);
        let address = queue.base + 0x2004 + 8 * slot;
        let bytes = self.read(address, 8);
        (
            u32::from_le_bytes(*bytes[..4].first_chunk().unwrap()),
            u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()),
        )
    }

    /// Whether all chains that were made available have been given back.
    pub(crate) fn has_all_back(&self, index: usize) -> bool {
        self.used(index) == self.queues[index].next_available
    }

    /// Whether the server has told the guest that something is done.
    pub(crate) fn was_called(&self, index: usize) -> bool {
        self.queues[index].call.read().is_ok()
    }

    /// Whether the server says that a queue is broken.
    pub(crate) fn is_broken(&self, index: usize) -> bool {
        wait_for(&self.queues[index].err)
    }

    pub(crate) fn write_header(&self, kind: u32, sector: u64) {
        let mut header = kind.to_le_bytes().to_vec();
        header.extend([0; 4]);
        header.extend(sector.to_le_bytes());
        self.write(HEADER, &header);
        self.write(STATUS, &[UNTOUCHED]);
    }

    /// The status of the last request; `None` if there is none.
    pub(crate) fn status(&self) -> Option<u8> {
        let status = self.read(STATUS, 1)[0];
        (status != UNTOUCHED).then_some(status)
    }

    /// Carries out a request with this memory: pieces that are for the device to read, or to write.
    pub(crate) fn request(
        &mut self,
        index: usize,
        kind: u32,
        sector: u64,
        data: &[(u64, u32, u16)],
    ) -> u8 {
        self.write_header(kind, sector);
        let mut chain = vec![header()];
        for (address, length, flags) in data {
            chain.push(Descriptor {
                address: *address,
                length: *length,
                flags: NEXT | flags,
                next: u16::try_from(chain.len()).unwrap() + 1,
            });
        }
        chain.push(status());
        self.write_chain(index, &chain);
        self.submit(index, 0);
        assert_eq!(self.wait(index).0, 0);
        self.status().unwrap()
    }

    pub(crate) fn read_disk(&mut self, index: usize, sector: u64, length: u32) -> Vec<u8> {
        assert_eq!(self.request(index, IN, sector, &[(DATA, length, WRITE)]), 0);
        self.read(DATA, length as usize)
    }

    pub(crate) fn write_disk(&mut self, index: usize, sector: u64, data: &[u8]) {
        self.write(DATA, data);
        let length = u32::try_from(data.len()).unwrap();
        assert_eq!(self.request(index, OUT, sector, &[(DATA, length, 0)]), 0);
    }
}

/// The first descriptor of a request.
pub(crate) fn header() -> Descriptor {
    Descriptor {
        address: HEADER,
        length: 16,
        flags: NEXT,
        next: 1,
    }
}

/// The last one.
pub(crate) fn status() -> Descriptor {
    Descriptor {
        address: STATUS,
        length: 1,
        flags: WRITE,
        next: 0,
    }
}

/// Waits until an eventfd is signalled, and takes it back.
fn wait_for(event: &EventFd) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if event.read().is_ok() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
