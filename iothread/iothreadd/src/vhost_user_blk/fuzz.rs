//! What fuzz targets drive, with any bytes.

use std::fs::File;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::GuestAddress;

use super::config::Geometry;
use super::memory::Memory;
use super::message::Messages;
use super::request::{Action, GuestRequest};
use super::ring::{Addresses, BrokenRing, Ring};
use crate::net::drive::{check_pieces, drive};

/// The guest's memory.
const MEMORY: usize = 16 << 10;

/// The longest ring there is room for in front of the rest.
const RING_SIZE: u32 = 16;

/// Messages, as a client's bytes come. Every other one has to wait.
pub(crate) fn messages(input: &[u8]) {
    check_pieces(input, |piece| {
        let mut barriers = Vec::new();
        let mut messages = Messages::default();
        let (_, fate) = drive(&mut messages, input, piece, |messages, barrier| {
            barriers.push(barrier);
            if barriers.len() % 2 == 0 {
                messages.hold();
                assert!(messages.is_held());
                messages.resume();
            }
            let _ = messages.channel();
            messages.discard();
        });
        (barriers, fate.is_over())
    });
}

/// What a guest has put into its queue: rings, chains of descriptors, and requests.
pub(crate) fn queue(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let Some(memory) = guest_memory(input) else {
        return;
    };
    let geometry = Geometry {
        size: 1 << 20,
        block_size: if kind & 1 == 0 { 512 } else { 4096 },
        num_queues: 1,
        is_writable: kind & 2 == 0,
    };
    // Both ways to tell when to notify.
    let features = if kind & 4 == 0 {
        0
    } else {
        geometry.features()
    };
    // Where it cannot be used, that is said.
    let _ = serve(&memory, &geometry, features);
}

/// The memory of a guest as its client describes it: pieces that come and go, and addresses that are looked for.
pub(crate) fn memory(input: &[u8]) {
    let Some(file) = memory_file() else {
        return;
    };
    let mut memory = Memory::default();
    let mut pieces: Vec<VhostUserMemoryRegion> = Vec::new();
    for step in input.chunks_exact(STEP) {
        let (kind, numbers) = (step[0], step[1..].as_chunks::<8>().0);
        let [guest, size, client, offset] =
            std::array::from_fn(|index| u64::from_le_bytes(numbers[index]));
        let piece = match kind % 4 {
            // One that is there, or is like it.
            0 => match pieces.get(usize::from(kind / 4)) {
                Some(piece) => *piece,
                None => VhostUserMemoryRegion::new(guest, size, client, offset),
            },
            _ => VhostUserMemoryRegion::new(guest, size, client, offset),
        };
        let changed = match kind % 4 {
            0 => memory
                .without(&piece)
                .inspect(|_| forget(&mut pieces, &piece)),
            _ => match file.try_clone() {
                Ok(file) => memory.with(&piece, file).inspect(|_| pieces.push(piece)),
                Err(_) => return,
            },
        };
        memory = changed.unwrap_or(memory);
        check_addresses(&memory, &pieces, client);
    }
}

/// Bytes of a step: its kind, and four numbers.
const STEP: usize = 1 + 4 * 8;

fn forget(pieces: &mut Vec<VhostUserMemoryRegion>, gone: &VhostUserMemoryRegion) {
    let is_it = |piece: &VhostUserMemoryRegion| {
        let (guest, client) = (piece.guest_phys_addr, piece.user_addr);
        (guest, client) == (gone.guest_phys_addr, gone.user_addr)
    };
    let index = pieces.iter().position(is_it);
    pieces.remove(index.expect("what was taken away was there"));
}

/// All of each piece can be used, and addresses of the client lead into pieces or nowhere.
fn check_addresses(memory: &Memory, pieces: &[VhostUserMemoryRegion], address: u64) {
    for piece in pieces {
        let size = usize::try_from(piece.memory_size).expect("it was mapped");
        assert!(memory.has(GuestAddress(piece.guest_phys_addr), size));
        let last = GuestAddress(piece.guest_phys_addr + piece.memory_size - 1);
        assert!(memory.write(last, &[1]).is_ok());
        assert!(memory.guest_address(piece.user_addr).is_some());
    }
    if let Some(found) = memory.guest_address(address) {
        assert!(memory.has(found, 1));
    }
}

fn memory_file() -> Option<File> {
    let file = memfd_create("guest", MemfdFlags::CLOEXEC).ok()?;
    ftruncate(&file, MEMORY as u64).ok()?;
    Some(File::from(file))
}

fn guest_memory(input: &[u8]) -> Option<Memory> {
    let file = memory_file()?;
    let region = VhostUserMemoryRegion::new(0, MEMORY as u64, 1 << 32, 0);
    let memory = Memory::new(&[region], vec![file]).ok()?;
    memory
        .write(GuestAddress(0), &input[..input.len().min(MEMORY)])
        .ok()?;
    Some(memory)
}

fn serve(memory: &Memory, geometry: &Geometry, features: u64) -> Result<(), BrokenRing> {
    let mut ring = Ring::new()?;
    ring.set_size(RING_SIZE)?;
    ring.set_addresses(&Addresses {
        descriptors: GuestAddress(0),
        available: GuestAddress(0x100),
        used: GuestAddress(0x200),
    })?;
    ring.set_base(0)?;
    ring.start(memory, features)?;
    for _ in 0..2 * RING_SIZE {
        let Some(request) = ring.pop(memory, geometry)? else {
            break;
        };
        check(&request, memory, geometry);
        if let Some(status) = request.status {
            assert!(memory.write(status, &[0]).is_ok());
        }
        let written = u32::try_from(request.length()).unwrap_or(u32::MAX);
        ring.push(memory, request.head, written)?;
        ring.notify_guest(memory)?;
    }
    ring.set_notification(memory, true)?;
    Ok(())
}

/// A request is within the disk and the guest's memory, whatever the guest has written.
fn check(request: &GuestRequest, memory: &Memory, geometry: &Geometry) {
    for segment in &request.data {
        assert!(memory.has(segment.address, segment.length));
    }
    let block_size = u64::from(geometry.block_size);
    let is_within = |offset: u64, length: u64| {
        let end = offset.checked_add(length);
        end.is_some_and(|end| end <= geometry.size)
            && offset.is_multiple_of(block_size)
            && length.is_multiple_of(block_size)
    };
    match request.action {
        Action::Read { offset } => assert!(is_within(offset, request.length())),
        Action::Write { offset } => {
            assert!(geometry.is_writable && is_within(offset, request.length()));
        }
        Action::Discard { offset, length } | Action::WriteZeroes { offset, length, .. } => {
            assert!(geometry.is_writable && is_within(offset, length));
        }
        Action::Flush | Action::Identify | Action::Refuse(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_messages() {
        messages(&[0; 100]);
        messages(&[255; 100]);
        messages(b"\x0b\0\0\0\x01\0\0\0\x04\0\0\0\x02\0\0\0\x22\0\0\0\x01\0\0\0\0\0\0\0");
    }

    /// A read of one block: its header, its data and its status in three descriptors.
    fn a_read() -> Vec<u8> {
        let mut memory = vec![0; 0x600];
        let descriptors = [
            (0x300_u64, 16_u32, 1_u16, 1_u16),
            (0x400, 512, 3, 2),
            (0x310, 1, 2, 0),
        ];
        for (index, (address, length, flags, next)) in descriptors.into_iter().enumerate() {
            let at = &mut memory[16 * index..16 * index + 16];
            at[..8].copy_from_slice(&address.to_le_bytes());
            at[8..12].copy_from_slice(&length.to_le_bytes());
            at[12..14].copy_from_slice(&flags.to_le_bytes());
            at[14..].copy_from_slice(&next.to_le_bytes());
        }
        // One chain is available.
        memory[0x102] = 1;
        memory
    }

    fn step(kind: u8, numbers: [u64; 4]) -> Vec<u8> {
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
        std::iter::once(kind).chain(numbers).collect()
    }

    #[test]
    fn any_memory() {
        let page = 0x1000;
        let steps = [
            step(1, [0, page, 0x10_0000, 0]),
            // Over it, beside it, around the end of all addresses, behind the end of the file, and nothing.
            step(1, [page - 1, page, 0x20_0000, page]),
            step(1, [page, page, 0x10_0000 + page, page]),
            step(1, [u64::MAX - page + 1, page, u64::MAX, 0]),
            step(1, [1 << 40, page, 1, MEMORY as u64]),
            step(1, [1 << 41, u64::MAX, 1, 1]),
            step(1, [1 << 42, 0, 1, 0]),
            // Away with the second, and with one that never was.
            step(4, [0; 4]),
            step(0, [7; 4]),
            step(0, [0; 4]),
        ];
        for n_steps in 0..=steps.len() {
            memory(&steps[..n_steps].concat());
        }
        memory(&[0xff; 200]);
    }

    #[test]
    fn any_queue() {
        for kind in 0..8 {
            let mut input = vec![kind];
            queue(&input);
            input.extend(a_read());
            for request in 0..16 {
                input[1 + 0x300] = request;
                queue(&input);
            }
            queue(&[&[kind], &[0xff; MEMORY][..]].concat());
        }
        let memory = guest_memory(&a_read()).unwrap();
        let geometry = Geometry {
            size: 1 << 20,
            block_size: 512,
            num_queues: 1,
            is_writable: true,
        };
        let mut ring = Ring::new().unwrap();
        assert!(serve(&memory, &geometry, 0).is_ok());
        assert!(ring.set_size(0x10000).is_err());
        let mut used = [0; 2];
        memory.read(GuestAddress(0x202), &mut used).unwrap();
        assert_eq!(used, [1, 0], "the read was not taken");
    }
}
