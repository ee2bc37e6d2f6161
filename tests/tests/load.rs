//! A short form of `cargo xtask load`: every reply is checked, nothing is timed.

use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use tests::Server;
use tests::load::{self, Load};

/// What a test machine does in a moment.
const LOAD: Load = Load {
    n_clients: 100,
    n_commands: 10_000,
    n_silent: 5,
    n_devices: 20,
};

fn main() {
    let trials = vec![
        Trial::test("iothreadd", iothreadd),
        Trial::test("tokio", tokio),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn iothreadd() -> Result<(), Failed> {
    let server = Server::start_iothreadd(&[]);
    let report = load::run(LOAD, server.socket(), server.process_id())?;
    // Two for each device and each client that was there at the time; those come and go.
    if report.n_events == 0 || report.n_disconnects == 0 {
        return Err(format!("not the load that was meant: {report:?}").into());
    }
    Ok(())
}

fn tokio() -> Result<(), Failed> {
    let server = Server::start(|socket| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmp-sample"));
        command.arg(socket);
        command
    })?;
    let load = Load {
        n_devices: 0,
        ..LOAD
    };
    load::run(load, server.socket(), server.process_id())?;
    Ok(())
}
