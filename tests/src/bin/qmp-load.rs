//! `qmp-load [CLIENTS [COMMANDS]]` loads `iothreadd` (named by `IOTHREADD`) and the server on tokio
//! (by `QMP_SAMPLE`), and fails if a reply is not what it has to be, memory grows, or a session
//! is held up by another. `cargo xtask load` builds what is needed.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::Server;
use tests::load::{self, Load, measure_isolation};

/// Resident memory in the last tenth at most, of that in the third.
const MAX_GROWTH: f64 = 1.1;

/// A round trip beside a handler that blocks at most, of that without.
const MAX_SLOWDOWN: f64 = 1.5;

/// How long the handler blocks.
const BLOCKED: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("qmp-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: &str| arguments.next().unwrap_or_else(|| otherwise.to_owned());
    let load = Load {
        n_clients: number("1000").parse().context("the number of clients")?,
        n_commands: number("1000000")
            .parse()
            .context("the number of commands")?,
        n_silent: 10,
        n_devices: 200,
    };
    let sample = PathBuf::from(std::env::var_os("QMP_SAMPLE").context("QMP_SAMPLE is not set")?);
    allow_many_descriptors();

    println!("iothreadd:");
    let iothreadd = Server::start_iothreadd(&[]);
    one(load, &iothreadd)?;
    drop(iothreadd);

    println!("server on tokio:");
    let tokio = Server::start(|socket| {
        let mut command = Command::new(&sample);
        command.arg(socket);
        command
    })?;
    // It has no devices.
    one(
        Load {
            n_devices: 0,
            ..load
        },
        &tokio,
    )?;
    let isolation = measure_isolation(tokio.socket(), BLOCKED)?;
    let slowdown = isolation.beside.as_secs_f64() / isolation.alone.as_secs_f64();
    println!(
        "  median round trip {:?}, beside a handler that blocks for {BLOCKED:?} {:?}: {slowdown:.2} x",
        isolation.alone, isolation.beside
    );
    ensure!(slowdown <= MAX_SLOWDOWN, "more than {MAX_SLOWDOWN} x");
    Ok(())
}

fn one(load: Load, server: &Server) -> Result<()> {
    let report = load::run(load, server.socket(), server.process_id())?;
    println!(
        "  {} commands of {} clients, each answered once and rightly, {} with errors, in {:.1} s",
        report.n_replies,
        load.n_clients,
        report.n_errors,
        report.elapsed.as_secs_f64()
    );
    println!(
        "  {} events received, {} connections dropped in the middle of a command, {} clients that read nothing",
        report.n_events, report.n_disconnects, load.n_silent
    );
    let growth = report.resident.growth();
    println!(
        "  resident memory by tenths: {}; {growth:.2} x",
        report.resident
    );
    ensure!(
        growth <= MAX_GROWTH,
        "memory grows by more than {MAX_GROWTH} x"
    );
    Ok(())
}

/// The usual limit is lower than the number of clients. Servers inherit the raised one.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // If it fails, the clients that do not fit will say so.
    let _ = setrlimit(Resource::Nofile, raised);
}
