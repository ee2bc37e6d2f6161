//! The server on tokio under a short form of `cargo xtask load`: every reply is checked, nothing is timed.

use std::process::Command;

use tests::Server;
use tests::load::{self, Load, SHORT};

#[test]
fn every_client_is_answered() -> anyhow::Result<()> {
    let server = Server::start(|socket| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmp-sample"));
        command.arg(socket);
        command
    })?;
    // It has no devices.
    let load = Load {
        n_devices: 0,
        ..SHORT
    };
    load::run(load, server.socket(), server.process_id())?;
    Ok(())
}
