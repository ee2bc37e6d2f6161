//! How a guest fares when what serves it ends: no request that was taken is lost.
//!
//! What counts is the guest's memory at the moment when its client sees the end of the connection: a virtual machine
//! monitor goes on from there.

use serde_json::json;
use vhost::vhost_user::VhostUserFrontend;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};

use crate::guest::{DATA, Descriptor, FLUSH, Guest, IN, MEMORY_SIZE, NEXT, WRITE, header, status};
use crate::harness::eventually;
use crate::vhost_user_blk::Fixture;
use crate::vhost_user_clients::{NOBODY, add_slow_node, begin, slow_disk, wait_until_taken};

/// So long that a request is under way when the end comes, and so short that nobody waits for nothing.
const SLOW_NS: u64 = 500_000_000;

/// Longer than any test may take.
pub(crate) const STUCK_NS: u64 = 3_600_000_000_000;

/// A status that no device writes.
const UNTOUCHED: u8 = 0xee;

/// The status of a request that has failed.
const FAILED: u8 = 1;

/// The ways in which an export comes to its end on purpose.
#[derive(Clone, Copy, Debug)]
enum End {
    Removal,
    Quit,
    Signal(&'static str),
}

impl End {
    /// Brings it about.
    fn begin(self, it: &mut Fixture) {
        match self {
            Self::Removal => {
                let arguments = json!({"id": "slow", "mode": "hard"});
                it.client.execute("block-export-del", arguments);
            }
            Self::Quit => {
                it.client.execute("quit", json!({}));
            }
            Self::Signal(name) => it.server.signal(name),
        }
    }

    /// Waits until it is complete.
    fn wait(self, it: &mut Fixture) {
        match self {
            Self::Removal => assert_eq!(it.client.event()["event"], "BLOCK_EXPORT_DELETED"),
            Self::Quit | Self::Signal(_) => {
                assert_eq!(it.server.wait().code(), Some(0));
            }
        }
    }
}

const ENDS: [End; 5] = [
    End::Removal,
    End::Quit,
    End::Signal("TERM"),
    End::Signal("INT"),
    End::Signal("HUP"),
];

/// Waits until the client's connection ends.
fn wait_for_end(guest: &mut Guest) {
    // Nothing is answered any more, and nothing that comes too late is an answer.
    while guest.frontend.get_features().is_ok() {}
}

/// Begins a request of all this, on a queue; its status is where those of other queues are not.
pub(crate) fn begin_on(guest: &mut Guest, queue: usize, length: u32) {
    let position = u64::try_from(queue).unwrap();
    let place = Descriptor {
        address: status().address + position,
        ..status()
    };
    let data = Descriptor {
        address: DATA,
        length,
        flags: NEXT | WRITE,
        next: 2,
    };
    guest.write(place.address, &[UNTOUCHED]);
    guest.write_chain(queue, &[header(), data, place]);
    guest.submit(queue, 0);
}

pub(crate) fn status_of(guest: &Guest, queue: u64) -> u8 {
    guest.read(status().address + queue, 1)[0]
}

#[test]
fn an_intended_end_answers_what_is_under_way() {
    for end in ENDS {
        let (mut it, mut guest) = slow_disk(SLOW_NS);
        begin(&mut guest);
        wait_until_taken(&mut it, &guest);
        end.begin(&mut it);
        wait_for_end(&mut guest);
        assert_eq!((guest.used(0), guest.status()), (1, Some(0)), "{end:?}");
        assert!(guest.was_called(0), "{end:?}");
        end.wait(&mut it);
        assert_eq!(guest.used(0), 1, "{end:?}");
    }
}

#[test]
fn all_queues_and_all_pieces_are_answered_before_the_end() {
    const N_QUEUES: usize = 4;
    for end in ENDS {
        let mut it = Fixture::new();
        add_slow_node(&mut it, SLOW_NS);
        let options =
            json!({"node-name": "slow", "iothread": ["io0", "io1"], "num-queues": N_QUEUES});
        it.export("slow", &options);
        let mut guest = Guest::start(&it.socket("slow"), N_QUEUES, 0);
        guest.write_header(IN, 0);
        // What is longer than a piece is carried out piece by piece, so it takes several times as long.
        let lengths = [512, 9 << 20, 512, 5 << 20];
        for (queue, length) in lengths.into_iter().enumerate() {
            begin_on(&mut guest, queue, length);
        }
        eventually(|| {
            let queues = it.queues("slow");
            let is_taken =
                |queue: usize| queues[queue]["in-flight"] == 1 || guest.has_all_back(queue);
            (0..N_QUEUES).all(is_taken)
        });
        end.begin(&mut it);
        wait_for_end(&mut guest);
        for queue in 0..N_QUEUES {
            let done = (guest.used(queue), status_of(&guest, queue as u64));
            assert_eq!(done, (1, 0), "{end:?}, queue {queue}");
        }
        end.wait(&mut it);
    }
}

#[test]
fn what_is_not_taken_is_left_for_the_next_server() {
    let (mut it, mut guest) = slow_disk(SLOW_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    End::Removal.begin(&mut it);
    // The reply says that no request is taken from now on.
    guest.submit(0, 0);
    wait_for_end(&mut guest);
    assert_eq!(guest.used(0), 1);
    End::Removal.wait(&mut it);
    // The monitor goes on with the second request, from what the queue says.
    it.export("slow", &json!({"node-name": "slow", "iothread": "io1"}));
    guest.reconnect(&it.socket("slow"));
    assert_eq!(guest.wait(0).0, 0);
    assert_eq!(guest.wait(0).0, 0);
    assert_eq!((guest.used(0), guest.status()), (2, Some(0)));
}

#[test]
fn a_disk_that_is_stuck_fails_its_requests_after_a_while() {
    let (mut it, mut guest) = slow_disk(STUCK_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    End::Removal.begin(&mut it);
    let exports = it.client.execute("query-block-exports", json!({}));
    assert_eq!(exports[0]["shutting-down"], true);
    for mode in ["safe", "hard"] {
        let again = json!({"id": "slow", "mode": mode});
        let error = it.client.error("block-export-del", again);
        assert_eq!(error, "Export 'slow' is already shutting down");
    }
    assert_ne!(it.holders(), NOBODY);
    it.client
        .error("blockdev-del", json!({"node-name": "slow"}));
    it.client.error("object-del", json!({"id": "io0"}));
    assert_eq!((guest.used(0), guest.status()), (0, None));
    wait_for_end(&mut guest);
    assert_eq!((guest.used(0), guest.status()), (1, Some(FAILED)));
    assert!(guest.was_called(0));
    End::Removal.wait(&mut it);
    assert_eq!(it.holders(), NOBODY);
    it.client
        .execute("blockdev-del", json!({"node-name": "slow"}));
    it.client.execute("object-del", json!({"id": "io0"}));
}

#[test]
fn a_disk_that_is_stuck_does_not_keep_the_server() {
    for end in [End::Quit, End::Signal("TERM")] {
        let (mut it, mut guest) = slow_disk(STUCK_NS);
        begin(&mut guest);
        wait_until_taken(&mut it, &guest);
        end.begin(&mut it);
        wait_for_end(&mut guest);
        assert_eq!((guest.used(0), guest.status()), (1, Some(FAILED)));
        end.wait(&mut it);
    }
}

#[test]
fn a_second_signal_waits_for_no_disk() {
    let (mut it, mut guest) = slow_disk(STUCK_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    it.server.signal("TERM");
    assert_eq!(it.client.event()["event"], "SHUTDOWN");
    it.server.signal("TERM");
    End::Signal("TERM").wait(&mut it);
    assert_eq!((guest.used(0), guest.status()), (1, Some(FAILED)));
}

#[test]
fn a_client_that_leaves_finds_its_requests_answered() {
    let (mut it, mut guest) = slow_disk(SLOW_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    guest.disconnect();
    // The next one is served after that.
    let mut next = Guest::start(&it.socket("slow"), 1, 0);
    assert_eq!((guest.used(0), guest.status()), (1, Some(0)));
    assert!(guest.was_called(0));
    assert_eq!(next.request(0, FLUSH, 0, &[]), 0);
}

#[test]
fn the_end_of_a_queue_waits_for_its_requests() {
    let (mut it, mut guest) = slow_disk(50_000_000);
    for _ in 0..3 {
        begin(&mut guest);
        wait_until_taken(&mut it, &guest);
        let base = guest.frontend.get_vring_base(0).unwrap();
        assert_eq!((base, guest.used(0)), (1, 1));
        assert_eq!(guest.status(), Some(0));
        guest.restart_queue(0);
    }
    assert_eq!(guest.request(0, FLUSH, 0, &[]), 0);
}

#[test]
fn a_reset_waits_for_requests() {
    let (mut it, mut guest) = slow_disk(SLOW_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    guest.frontend.reset_device().unwrap();
    assert_eq!((guest.used(0), guest.status()), (1, Some(0)));
}

#[test]
fn memory_may_change_under_requests() {
    let (mut it, mut guest) = slow_disk(SLOW_NS);
    begin(&mut guest);
    wait_until_taken(&mut it, &guest);
    let region = guest.region();
    let more = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 40,
        userspace_addr: 1 << 40,
        memory_size: MEMORY_SIZE,
        ..region
    };
    guest.frontend.set_mem_table(&[region, more]).unwrap();
    assert_eq!(guest.wait(0).0, 0);
    assert_eq!((guest.used(0), guest.status()), (1, Some(0)));
}
