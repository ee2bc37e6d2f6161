//! What a proxy adds to a round trip: the one that records, beside those that only move bytes.

use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tests::{Server, Tool};

use super::echo;
use super::measure::{Peer, Sample, median_ns};
use super::{Limit, N_TURNS, REQUEST};

/// What makes this program the plain proxy.
pub(super) const ARGUMENT: &str = "serve-splice";

/// Round trips of a turn.
const N_ROUND_TRIPS: usize = 400;

/// Moves bytes between clients and the server at `to` until it is killed, each direction in a thread of its own.
pub(super) fn serve(socket: &Path, to: &Path) -> Result<()> {
    for client in UnixListener::bind(socket)?.incoming() {
        let (client, server) = (client?, UnixStream::connect(to)?);
        let ways = [(client.try_clone()?, server.try_clone()?), (server, client)];
        for (from, to) in ways {
            std::thread::spawn(move || {
                // One of them is gone, and the other is to know.
                let _ = echo::pass(&from, &to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    }
    Ok(())
}

/// A round trip to the echo server at once and by way of each proxy, in turns. Whether the recorder adds little enough.
pub(super) fn round_trips(echo: &Server) -> Result<bool> {
    let splice = Server::start(|socket| {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.arg(ARGUMENT).args([socket, echo.socket()]);
        command
    })?;
    let recorder = std::env::var_os("QMP").context("QMP does not name the program of that name")?;
    let recorder = Server::start(|socket| {
        let mut command = Command::new(recorder);
        command.arg("record").arg(echo.socket());
        command.arg("--listen").arg(socket);
        command.arg("--log").arg(socket.with_file_name("log"));
        command
    })?;
    let socat = match Tool::Program("socat").for_test("a round trip by way of socat") {
        None => None,
        Some(socat) => Some(Server::start(|socket| {
            let mut command = Command::new(socat);
            command.arg(format!("UNIX-LISTEN:{},fork", socket.display()));
            command.arg(format!("UNIX-CONNECT:{}", echo.socket().display()));
            command
        })?),
    };
    let ways = [
        ("at once", Some(echo)),
        ("bare splice", Some(&splice)),
        ("socat", socat.as_ref()),
        ("qmp record", Some(&recorder)),
    ];
    let mut peers = Vec::new();
    for (name, server) in ways {
        if let Some(server) = server {
            let peer = Peer::open_echo(name, server.socket())?;
            peers.push((peer, name, Sample::new()));
        }
    }
    for _ in 0..N_TURNS {
        for (peer, _, sample) in &mut peers {
            peer.round_trips(REQUEST, N_ROUND_TRIPS, sample)?;
        }
    }
    println!("a round trip to the echo server, one core, median:");
    let (mut at_once, mut splice, mut all_reached) = (0.0, 0.0, true);
    for (_, name, mut sample) in peers {
        let time = median_ns(&mut sample);
        let added = time - at_once;
        print!("  {name} {time:.0} ns");
        match name {
            "at once" => at_once = time,
            "bare splice" => {
                splice = added;
                print!(", which adds {added:.0} ns");
            }
            "qmp record" => {
                let limit = Limit::AtMost(2.0);
                let value = added / splice;
                all_reached = limit.holds(value);
                let verdict = if all_reached { "ok" } else { "MISSED" };
                print!(
                    ", which adds {added:.0} ns, {value:.2} x the splice, to be {limit}: {verdict}"
                );
            }
            _ => print!(", which adds {added:.0} ns"),
        }
        println!();
    }
    Ok(all_reached)
}
