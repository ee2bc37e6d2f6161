//! Guests and clients that write at random: whatever they do, others are served.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::json;

use crate::guest::{DATA, Descriptor, Guest, INDIRECT, MEMORY_SIZE, NEXT, QUEUE_SIZE, WRITE};
use crate::harness::PATIENCE;
use crate::random::Random;
use crate::vhost_user_blk::{Fixture, sector_of};

impl Random {
    /// Any number of 64 bits.
    fn word(&mut self) -> u64 {
        (self.below(1 << 31) as u64) << 33 ^ (self.below(1 << 31) as u64) << 16
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The export `victim`, of a node whose contents do not matter, beside the disk `good`.
fn fixture() -> Fixture {
    let mut it = Fixture::new();
    let node =
        json!({"driver": "null-co", "node-name": "any", "size": 1 << 20, "read-zeroes": true});
    it.client.execute("blockdev-add", node);
    let victim = json!({"node-name": "any", "iothread": "io0", "writable": true, "num-queues": 2});
    it.export("victim", &victim);
    it.export("good", &json!({"iothread": "io0"}));
    it
}

fn some_descriptor(random: &mut Random) -> Descriptor {
    let far = random.word();
    let near = DATA + random.below(1 << 16) as u64;
    let long = u32::try_from(random.word() >> 32).unwrap();
    Descriptor {
        address: random.pick(&[near, near, near, DATA, MEMORY_SIZE - 8, far]),
        length: random.pick(&[512, 512, 16, 1, 0, 4096, 1 << 20, long]),
        flags: random.pick(&[
            NEXT,
            NEXT | WRITE,
            WRITE,
            WRITE,
            0,
            INDIRECT,
            INDIRECT | NEXT,
            0xffff,
        ]),
        next: u16::try_from(random.below(usize::from(QUEUE_SIZE) + 2)).unwrap(),
    }
}

#[test]
fn guests_that_write_at_random_hold_up_nobody() {
    let mut it = fixture();
    let mut good = Guest::start(&it.socket("good"), 1, 0);
    let mut victim = Guest::start(&it.socket("victim"), 2, 0);
    let mut random = Random(7);
    let (mut n_used, mut n_broken) = (0, 0);
    for round in 0..3000_u32 {
        for position in 0..QUEUE_SIZE {
            if round == 0 || random.is(4) {
                victim.write_at(0, position, some_descriptor(&mut random));
            }
        }
        // Where headers and tables of descriptors are looked for: some of what is there makes sense.
        let kind = u32::try_from(random.below(15)).unwrap();
        victim.write(DATA, &kind.to_le_bytes());
        victim.write(DATA + 8, &(random.below(2048) as u64).to_le_bytes());
        for position in 1..32 {
            let descriptor = some_descriptor(&mut random);
            victim.write_descriptor(DATA + 16 * position, descriptor);
        }
        if random.is(50) {
            // A ring that makes no sense.
            let head = u16::try_from(random.below(1 << 16)).unwrap();
            victim.submit(0, head | QUEUE_SIZE);
            assert!(victim.is_broken(0), "round {round}");
            n_broken += 1;
            victim.restart_queue(0);
        } else {
            let head = u16::try_from(random.below(QUEUE_SIZE.into())).unwrap();
            if random.is(2) {
                // A beginning that is good.
                let mut header = some_descriptor(&mut random);
                (header.address, header.length, header.flags) = (DATA, 16, NEXT);
                victim.write_at(0, head, header);
            }
            victim.submit(0, head);
            assert_eq!(victim.wait(0).0, u32::from(head), "round {round}");
            n_used += 1;
        }
        if round.is_multiple_of(100) {
            let number = random.below(2000);
            assert!(good.read_disk(0, number as u64, 512) == sector_of(number));
            assert_eq!(victim.read_disk(1, 0, 512), [0; 512]);
        }
    }
    assert!(n_used > 2000 && n_broken > 10, "{n_used} {n_broken}");
    // Some of it was good.
    assert!(it.queues("victim")[0]["requests"].as_u64().unwrap() > 10);
}

/// A message that may make sense.
fn some_message(random: &mut Random) -> Vec<u8> {
    let number = if random.is(20) {
        random.word() as u32
    } else {
        random.below(45) as u32
    };
    let any = random.below(5000) as u32;
    let size = random.pick(&[0, 8, 8, 8, 8, 12, 40, 40, 72, 20, any]);
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.extend(random.pick(&[1_u32, 1, 1, 9, 9, 5, 0]).to_ne_bytes());
    bytes.extend(size.to_ne_bytes());
    while bytes.len() < 12 + size as usize {
        let far = random.word();
        let word = random.pick(&[0, 0, 1, 1, 2, 64, 4096, 1 << 30, far]);
        bytes.extend(word.to_ne_bytes());
    }
    bytes.truncate(12 + size as usize);
    if random.is(30) {
        bytes.truncate(random.below(bytes.len()));
    }
    bytes
}

/// Sends a message with some descriptors. Returns whether that was possible.
fn send(stream: &UnixStream, message: &[u8], descriptors: &[&OwnedFd]) -> bool {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let rights: Vec<_> = descriptors.iter().map(|it| it.as_fd()).collect();
    if !rights.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&rights)));
    }
    let flags = SendFlags::NOSIGNAL;
    sendmsg(stream, &[IoSlice::new(message)], &mut ancillary, flags).is_ok()
}

#[test]
fn clients_that_write_at_random_hold_up_nobody() {
    let it = fixture();
    let mut good = Guest::start(&it.socket("good"), 1, 0);
    let files: [OwnedFd; 4] = [
        std::fs::File::open("/dev/null").unwrap().into(),
        rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap(),
        UnixStream::pair().unwrap().0.into(),
        tempfile::tempfile().unwrap().into(),
    ];
    let mut random = Random(11);
    for round in 0..300_usize {
        let mut stream = UnixStream::connect(it.socket("victim")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Otherwise most of them end at once.
        let protocol = 1_u64 << 30;
        for (number, word) in [(1_u32, None), (2, Some(protocol)), (16, Some(0xa208))] {
            let mut message = number.to_ne_bytes().to_vec();
            message.extend(1_u32.to_ne_bytes());
            let size = if word.is_some() { 8_u32 } else { 0 };
            message.extend(size.to_ne_bytes());
            message.extend(word.into_iter().flat_map(u64::to_ne_bytes));
            stream.write_all(&message).unwrap();
        }
        stream.read_exact(&mut [0; 20]).unwrap();
        for _ in 0..random.below(30) {
            let message = some_message(&mut random);
            let n_descriptors = random.pick(&[0, 0, 0, 1, 1, 8]);
            let descriptors: Vec<_> = (0..n_descriptors)
                .map(|_| random.pick(&[0, 1, 2, 3]))
                .collect();
            let descriptors: Vec<_> = descriptors
                .into_iter()
                .map(|at: usize| &files[at])
                .collect();
            if !send(&stream, &message, &descriptors) {
                break;
            }
        }
        assert!(good.read_disk(0, round as u64, 512) == sector_of(round));
    }
    // The export is as good as new.
    let mut guest = Guest::start(&it.socket("victim"), 2, 0);
    for queue in [0, 1] {
        assert_eq!(guest.read_disk(queue, 0, 512), [0; 512]);
    }
}
