//! A short form of `cargo xtask load`: every reply is checked, nothing is timed.

use tests::Server;
use tests::load::{self, SHORT};

#[test]
fn every_client_is_answered() {
    let server = Server::start_iothreadd(&[]);
    let report = load::run(SHORT, server.socket(), server.process_id()).unwrap();
    // Two for each device and each client that was there at the time; those come and go.
    assert!(report.n_events > 0, "{report:?}");
    assert!(report.n_disconnects > 0, "{report:?}");
}
