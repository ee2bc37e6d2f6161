//! What a command costs over a unix socket: `iothreadd` and the server on tokio beside a bare echo
//! server and QEMU, both clients beside one that is written by hand, and the proxy that records beside a
//! bare one.
//!
//! Everything runs on one core, so that a figure is the work of both sides and of the kernel, and the
//! servers take turns, so that what else the machine does hits all of them. `cargo xtask bench qmp`
//! builds what is needed.

mod client;
mod echo;
mod measure;
mod proxies;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use tests::{Server, Tool};

use self::client::{ByHand, Tasks};
use self::measure::{Peer, Sample, median_ns};

/// Turns that each server gets.
const N_TURNS: usize = 50;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let result = match arguments.next() {
        Some(first) if first == echo::ARGUMENT => match arguments.next() {
            Some(socket) => echo::serve(Path::new(&socket)).map(|()| true),
            None => Err(anyhow::anyhow!("echo: the path of the socket is missing")),
        },
        Some(first) if first == proxies::ARGUMENT => match (arguments.next(), arguments.next()) {
            (Some(socket), Some(to)) => {
                proxies::serve(Path::new(&socket), Path::new(&to)).map(|()| true)
            }
            _ => Err(anyhow::anyhow!("splice: the paths of sockets are missing")),
        },
        Some(_) | None => bench(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The servers, which inherit this process's core.
struct Servers {
    echo: Server,
    iothreadd: Server,
    tokio: Server,
    qemu: Option<Server>,
}

fn start() -> Result<Servers> {
    let mut core = CpuSet::new();
    core.set(0);
    sched_setaffinity(None, &core)?;
    let myself = std::env::current_exe()?;
    let Some(sample) = std::env::var_os("QMP_SAMPLE") else {
        bail!(
            "QMP_SAMPLE does not name the server on tokio; start this as `cargo xtask bench qmp`"
        );
    };
    let by_path = |program: &Path, first: Option<&str>, socket: &Path| {
        let mut command = Command::new(program);
        command.args(first).arg(socket);
        command
    };
    Ok(Servers {
        echo: Server::start(|socket| by_path(&myself, Some(echo::ARGUMENT), socket))?,
        iothreadd: Server::start_iothreadd(&["--object", "iothread,id=io0"]),
        tokio: Server::start(|socket| by_path(Path::new(&sample), None, socket))?,
        qemu: match Tool::Program("qemu-system-x86_64").find() {
            Some(qemu) => Some(Server::start_qemu(
                &qemu,
                &["-machine", "none", "-object", "iothread,id=io0"],
            )?),
            None => {
                println!("skipped: the comparison with QEMU: qemu-system-x86_64 is not here");
                None
            }
        },
    })
}

fn bench() -> Result<bool> {
    let servers = start()?;
    let are_clients_fine = client_calls(&servers)?;
    let is_recorder_fine = proxies::round_trips(&servers.echo)?;
    Ok(round_trips(&servers)? && are_clients_fine && is_recorder_fine)
}

/// A call through the clients beside one that is written by hand. QEMU serves one client at a time, so each has a connection of its own
/// in each turn. At a server that is as fast as ours what is shown is the clients alone; at QEMU, what they cost their users.
fn client_calls(servers: &Servers) -> Result<bool> {
    let mut all_reached = true;
    let mut peers = vec![("iothreadd", servers.iothreadd.socket(), 400, None)];
    let limit = Some(Limit::AtMost(1.2));
    peers.extend(
        servers
            .qemu
            .as_ref()
            .map(|qemu| ("QEMU", qemu.socket(), 40, limit)),
    );
    for (name, socket, n_calls, limit) in peers {
        let mut samples: [Sample; 3] = Default::default();
        let [by_hand, threads, tasks] = &mut samples;
        for _ in 0..N_TURNS {
            ByHand::open(socket)?.calls(n_calls, by_hand)?;
            client::calls(&client::blocking(socket)?, n_calls, threads)?;
            Tasks::open(socket)?.calls(n_calls, tasks)?;
        }
        let [by_hand, threads, tasks] = samples.each_mut().map(median_ns);
        println!("a call of query-name at {name}, one core, median:");
        println!("  by hand {by_hand:.0} ns");
        for (client, time) in [("blocking client", threads), ("client on tokio", tasks)] {
            let value = time / by_hand;
            print!("  {client} {time:.0} ns: {value:.2} x");
            match limit {
                None => println!(),
                Some(limit) => {
                    let is_reached = limit.holds(value);
                    all_reached &= is_reached;
                    let verdict = if is_reached { "ok" } else { "MISSED" };
                    println!(", to be {limit}: {verdict}");
                }
            }
        }
    }
    Ok(all_reached)
}

fn round_trips(servers: &Servers) -> Result<bool> {
    let mut echo = Peer::open_echo("echo", servers.echo.socket())?;
    let mut iothreadd = Peer::open("iothreadd", servers.iothreadd.socket())?;
    let mut tokio = Peer::open("tokio server", servers.tokio.socket())?;
    let mut qemu = match &servers.qemu {
        Some(qemu) => Some(Peer::open("QEMU", qemu.socket())?),
        None => None,
    };

    let mut round_trips: [Sample; 4] = Default::default();
    let mut pipelined: [Sample; 3] = Default::default();
    let mut schemas: [Sample; 2] = Default::default();
    let request = REQUEST;
    for _ in 0..N_TURNS {
        echo.round_trips(request, 1000, &mut round_trips[0])?;
        iothreadd.round_trips(request, 1000, &mut round_trips[1])?;
        tokio.round_trips(request, 1000, &mut round_trips[2])?;
        iothreadd.pipelined(request, 4000, &mut pipelined[0])?;
        tokio.pipelined(request, 4000, &mut pipelined[1])?;
        iothreadd.round_trips(SCHEMA, 10, &mut schemas[0])?;
        if let Some(qemu) = &mut qemu {
            qemu.round_trips(request, 40, &mut round_trips[3])?;
            qemu.pipelined(request, 100, &mut pipelined[2])?;
            qemu.round_trips(SCHEMA, 1, &mut schemas[1])?;
        }
    }

    println!("round trip of query-name, one core, median:");
    let echo_ns = median_ns(&mut round_trips[0]);
    let ours_ns = median_ns(&mut round_trips[1]);
    let tokio_ns = median_ns(&mut round_trips[2]);
    let mut all_reached = true;
    let mut judge = |what: &str, value: f64, limit: Limit| {
        let is_reached = limit.holds(value);
        all_reached &= is_reached;
        let verdict = if is_reached { "ok" } else { "MISSED" };
        println!("  {what}: {value:.2} x, to be {limit}: {verdict}");
    };
    println!("  echo {echo_ns:.0} ns, iothreadd {ours_ns:.0} ns, tokio server {tokio_ns:.0} ns");
    judge("iothreadd to echo", ours_ns / echo_ns, Limit::AtMost(1.3));
    println!("  tokio server to echo: {:.2} x", tokio_ns / echo_ns);
    if qemu.is_none() {
        return Ok(all_reached);
    }
    let qemu_ns = median_ns(&mut round_trips[3]);
    println!(
        "  QEMU {qemu_ns:.0} ns, {:.2} x the echo",
        qemu_ns / echo_ns
    );
    judge("QEMU to iothreadd", qemu_ns / ours_ns, Limit::AtLeast(20.0));

    println!("query-name pipelined, per command, median:");
    let [ours_ns, tokio_ns, qemu_ns] = pipelined.each_mut().map(median_ns);
    println!("  iothreadd {ours_ns:.0} ns, tokio server {tokio_ns:.0} ns, QEMU {qemu_ns:.0} ns");
    judge("QEMU to iothreadd", qemu_ns / ours_ns, Limit::AtLeast(50.0));

    println!("query-qmp-schema, median:");
    let [ours_ns, qemu_ns] = schemas.each_mut().map(median_ns);
    let sizes = (
        iothreadd.n_received_last(),
        qemu.map_or(0, |qemu| qemu.n_received_last()),
    );
    println!(
        "  iothreadd {ours_ns:.0} ns for {} bytes, QEMU {qemu_ns:.0} ns for {} bytes",
        sizes.0, sizes.1
    );
    judge(
        "QEMU to iothreadd",
        qemu_ns / ours_ns,
        Limit::AtLeast(100.0),
    );
    Ok(all_reached)
}

/// The command; every server knows it, and it costs little.
const REQUEST: &[u8] = b"{\"execute\": \"query-name\"}\n";

const SCHEMA: &[u8] = b"{\"execute\": \"query-qmp-schema\"}\n";

/// What a ratio has to be.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit} x"),
            Self::AtLeast(limit) => write!(f, "at least {limit} x"),
        }
    }
}
