//! Every subsystem that IOThreads have as users: what it takes it gives back, whatever happens.

#[path = "../../../iothread/iothreadd/tests/daemon/guest.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "the tests of iothreadd do more with it"
)]
mod guest;
mod nbd;
mod random;
mod rows;
mod vfio;
mod walk;
mod world;

use tests::Suite;

fn main() {
    let mut suite = Suite::new();
    for row in rows::all() {
        suite = suite.always(&format!("walk-{}", row.name), move || walk::walk(&row));
    }
    suite
        .always("random-sequences", random::random_sequences)
        .always("servers-that-break-the-protocol", vfio::broken_servers)
        .run();
}
