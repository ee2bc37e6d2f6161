//! The live view of a server.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::Failed;
use serde_json::json;
use tests::{Qmp, Server, Suite};

/// The name under which this program is the server: a program of another package is not built for these tests.
const IOTHREADD: &str = "iothreadd";

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == IOTHREADD)
    {
        return iothreadd::main();
    }
    Suite::new()
        .always(
            "tables-name-threads-and-holders",
            tables_name_threads_and_holders,
        )
        .always(
            "a-server-that-is-not-there-is-an-error",
            a_server_that_is_not_there_is_an_error,
        )
        .run()
}

fn start_iothreadd(arguments: &[&str]) -> anyhow::Result<Server> {
    let this = std::env::current_exe()?;
    Server::start(|socket| {
        let mut command = Command::new(this);
        command
            .arg0(IOTHREADD)
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()))
            .args(arguments);
        command
    })
}

fn top(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iothread-top"));
    command.args(arguments).output().unwrap()
}

fn tables_name_threads_and_holders() -> Result<(), Failed> {
    let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let server = start_iothreadd(&objects)?;
    let mut client = Qmp::open(server.socket()).unwrap();
    client
        .execute(
            "blockdev-add",
            json!({"driver": "null-co", "node-name": "n0"}),
        )
        .unwrap();
    client
        .execute(
            "x-blockdev-set-iothread",
            json!({"node-name": "n0", "iothread": "io0"}),
        )
        .unwrap();
    let address = format!("unix:{}", server.socket().display());
    let output = top(&["-b", "-i", "-n", "2", "-d", "0.1", &address]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let tables: Vec<_> = text.split("\n\n").collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let held: Vec<_> = rows.iter().map(|row| (row[0], row[3], row[4])).collect();
        assert_eq!(
            held,
            [
                ("IOTHREAD", "HELD", "HOLDERS"),
                ("io0", "1", "n0"),
                ("io1", "0", "none"),
                ("mon_iothread", "1", "compat_monitor0"),
            ]
        );
        // Each thread was looked at twice, so it is known how long it ran.
        assert!(rows[1..].iter().all(|row| row[2].ends_with('%')), "{text}");
    }
    Ok(())
}

fn a_server_that_is_not_there_is_an_error() -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let output = top(&["-b", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"iothread-top: "), "{output:?}");
    assert_eq!(top(&["tcp:nowhere"]).status.code(), Some(2));
    assert_eq!(top(&["-d", "0", "x"]).status.code(), Some(2));
    Ok(())
}
