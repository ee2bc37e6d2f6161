//! Tasks of the workspace, run as `cargo xtask TASK`. Elsewhere than on Linux, those are there that do not need it.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "tasks that are not there use the rest")
)]

/// Writes a line to standard output; unlike the standard macro it does not panic.
macro_rules! println {
    ($($arg:tt)*) => {
        $crate::console::say(format_args!($($arg)*))
    };
}

/// Writes a line to standard error; unlike the standard macro it does not panic.
macro_rules! eprintln {
    ($($arg:tt)*) => {
        $crate::console::complain(format_args!($($arg)*))
    };
}

mod alone;
mod api;
#[cfg(target_os = "linux")]
mod bench;
mod codegen;
mod conformance;
mod console;
#[cfg(target_os = "linux")]
mod demo;
mod docs;
mod fuzz;
mod lint;
#[cfg(target_os = "linux")]
mod load;
mod man;
mod process;
mod stress;
mod targets;
mod test;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show the whole idea at work: generate, build, serve, plug and unplug devices.
    #[cfg(target_os = "linux")]
    Demo(demo::Args),
    /// Run every test: generated code, public interfaces, unit, integration and doc tests.
    Test(test::Args),
    /// Check the formatting, and that there is no warning: of the compiler, of clippy, in tests, benches and examples, and of
    /// rustdoc.
    Lint,
    /// Write the Rust code generated from schema/: all of it for iothreadd, a part for iothread.
    Codegen(codegen::Args),
    /// Write what is public of each library to its api.txt.
    Api(api::Args),
    /// Write the reference manual of schema/ to target/docs/, and the sample that the README shows.
    Docs(docs::Args),
    /// Write man pages and completions of all programs to target/man/ and target/completions/.
    Man(man::Args),
    /// Check that what is portable compiles for Windows, macOS and s390x, everything with the oldest compiler, and each
    /// package by itself: with all features, with each one, with none, and as others get it.
    Targets(targets::Args),
    /// Play recordings of the reference against iothreadd.
    Conformance(conformance::Args),
    /// Storms of hot-plug on IOThreads, for minutes.
    Stress(stress::Args),
    /// Feed parsers and sessions with random input, for minutes.
    Fuzz(fuzz::Args),
    /// Load QMP servers with 1,000 clients and 1,000,000 commands, and check every reply.
    #[cfg(target_os = "linux")]
    Load(load::Args),
    /// Measure, each figure beside its baseline in the same run.
    #[cfg(target_os = "linux")]
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        #[cfg(target_os = "linux")]
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Lint => lint::run(),
        Task::Codegen(args) => codegen::run(&args),
        Task::Api(args) => api::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Man(args) => man::run(&args),
        Task::Targets(args) => targets::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Stress(args) => stress::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        #[cfg(target_os = "linux")]
        Task::Load(args) => load::run(&args),
        #[cfg(target_os = "linux")]
        Task::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) if console::is_lost() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
