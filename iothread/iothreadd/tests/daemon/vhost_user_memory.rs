//! The memory for buffers of vhost-user-blk exports, all together.

use serde_json::json;
use vhost::VhostBackend;

use crate::guest::{Guest, IN};
use crate::harness::eventually;
use crate::vhost_user_blk::{Fixture, sector_of};
use crate::vhost_user_clients::add_slow_node;
use crate::vhost_user_endings::{STUCK_NS, begin_on, status_of};

/// The most that one request has in buffers.
const LONGEST: u32 = 4 << 20;

const N_QUEUES: usize = 4;

/// A server with this much memory for buffers, a node "slow", and an export "small" of a file.
fn start(limit: &str, latency_ns: u64) -> (Fixture, Guest) {
    let limit = format!("vhost-user-blk={limit}");
    let mut it = Fixture::with(&["--limit", &limit]);
    add_slow_node(&mut it, latency_ns);
    it.export("small", &json!({"iothread": "io0"}));
    let small = Guest::start(&it.socket("small"), 1, 0);
    (it, small)
}

/// A guest of one more export of the slow node, with one of the longest requests on each queue.
fn add_greedy(it: &mut Fixture, id: &str, n_queues: usize) -> Guest {
    let options = json!({"node-name": "slow", "iothread": "io0", "num-queues": n_queues});
    it.export(id, &options);
    let mut guest = Guest::start(&it.socket(id), n_queues, 0);
    guest.write_header(IN, 0);
    for queue in 0..n_queues {
        begin_on(&mut guest, queue, LONGEST);
    }
    guest
}

/// Goes once around the event loop of all of them, with a request that is its queue's part.
fn pass(small: &mut Guest) {
    for sector in [3, 9] {
        assert!(small.read_disk(0, sector, 512) == sector_of(sector as usize));
    }
}

/// How many requests of an export are under way.
fn in_flight(it: &mut Fixture, id: &str) -> i64 {
    let queues = it.queues(id);
    let queues = queues.as_array().unwrap().iter();
    queues.map(|it| it["in-flight"].as_i64().unwrap()).sum()
}

#[test]
fn all_queues_share_what_there_is() {
    // Half of it is in parts that are smaller than a request; in the other half there is room for three at most.
    let (mut it, mut small) = start("16M", 200_000_000);
    let mut guests = ["e0", "e1"].map(|id| add_greedy(&mut it, id, N_QUEUES));
    pass(&mut small);
    let taken = in_flight(&mut it, "e0") + in_flight(&mut it, "e1");
    assert!(taken <= 3, "{taken} of 8");
    for guest in &mut guests {
        for queue in 0..N_QUEUES {
            assert_eq!(guest.wait(queue).1, LONGEST + 1);
            assert_eq!(status_of(guest, queue as u64), 0);
        }
    }
}

#[test]
fn one_request_always_fits() {
    let (mut it, mut small) = start("1M", 1_000_000);
    for id in ["e0", "e1", "e2"] {
        let mut guest = add_greedy(&mut it, id, N_QUEUES);
        for queue in 0..N_QUEUES {
            assert_eq!(guest.wait(queue).1, LONGEST + 1);
        }
    }
    pass(&mut small);
}

#[test]
fn what_waits_for_memory_is_not_taken() {
    let (mut it, mut small) = start("1M", STUCK_NS);
    let _holder = add_greedy(&mut it, "e0", 1);
    eventually(|| in_flight(&mut it, "e0") == 1);
    let mut waiting = add_greedy(&mut it, "e1", 1);
    let mut next = add_greedy(&mut it, "e2", 1);
    pass(&mut small);
    for id in ["e1", "e2"] {
        assert_eq!(in_flight(&mut it, id), 0, "{id}");
    }
    // The request is where the guest has put it, for what serves it next.
    assert_eq!(waiting.frontend.get_vring_base(0).unwrap(), 0);
    waiting.start_queue_at(0, 0);
    pass(&mut small);
    it.delete("e1", "hard");
    assert_eq!(waiting.used(0), 0);
    // One that has left keeps nobody from waiting.
    next.disconnect();
    it.delete("e2", "hard");
    pass(&mut small);
}

#[test]
fn who_leaves_gives_back_what_it_had() {
    let (mut it, mut small) = start("1M", 50_000_000);
    it.export("e0", &json!({"node-name": "slow", "iothread": "io0"}));
    for _ in 0..5 {
        let mut guest = Guest::start(&it.socket("e0"), 1, 0);
        guest.write_header(IN, 0);
        begin_on(&mut guest, 0, LONGEST);
        guest.disconnect();
    }
    let mut guest = Guest::start(&it.socket("e0"), 1, 0);
    guest.write_header(IN, 0);
    begin_on(&mut guest, 0, LONGEST);
    assert_eq!(guest.wait(0).1, LONGEST + 1);
    pass(&mut small);
}
