//! `iothread-top` with servers and terminals.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

mod daemon;
mod doctor;
mod exporter;
mod guests;
mod history;
mod kernels;
mod libvirt;
mod lifeline;
mod many;
mod polling;
mod qemu;
mod screen;
mod shares;
mod tables;

use std::process::{Child, Command, ExitCode, Output};

use tests::{Server, Suite, is_iothreadd};

/// Held by tests that measure, and by those that take all processors: they run one after the other.
pub(crate) fn processors() -> std::sync::MutexGuard<'static, ()> {
    static PROCESSORS: std::sync::Mutex<()> = std::sync::Mutex::new(());
    PROCESSORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn main() -> ExitCode {
    if is_iothreadd() {
        return iothreadd::main();
    }
    let suite = Suite::new();
    let suite = daemon::add(suite);
    let suite = doctor::add(suite);
    let suite = exporter::add(suite);
    let suite = tables::add(suite);
    let suite = history::add(suite);
    let suite = kernels::add(suite);
    let suite = libvirt::add(suite);
    let suite = lifeline::add(suite);
    let suite = many::add(suite);
    let suite = polling::add(suite);
    let suite = qemu::add(suite);
    let suite = shares::add(suite);
    screen::add(suite).run()
}

/// The program with these arguments.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iothread-top"));
    command.args(arguments);
    command
}

/// Runs the program to its end.
fn top(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// The text that it prints; it has to end well.
fn text_of(arguments: &[&str]) -> String {
    let output = top(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The address of a server.
fn address(server: &Server) -> String {
    format!("unix:{}", server.socket().display())
}

/// A program that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
