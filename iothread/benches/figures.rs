//! The figures that the crate promises, each beside its baseline in the same run.
//!
//! `cargo bench -p iothread` prints one line for each; an argument selects those whose name contains it.

mod dispatch;
mod holders;
mod measure;
mod wakeup;

use std::process::ExitCode;

/// A figure: its name and what prints it.
type Figure = (&'static str, fn(&str) -> bool);

fn main() -> ExitCode {
    // Cargo passes `--bench`.
    let selected = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let figures: [Figure; 7] = [
        ("record-release", holders::record_release),
        ("two-threads-different", holders::two_threads_different),
        ("two-threads-same", holders::two_threads_same),
        ("query-linear", holders::query_linear),
        ("wake-up", wakeup::wakeup),
        ("idle-cpu", dispatch::idle_cpu),
        ("ready-fd", dispatch::ready_fd),
    ];
    let mut all_reached = true;
    for (name, figure) in figures {
        if selected.as_ref().is_none_or(|part| name.contains(part)) {
            all_reached &= figure(name);
        }
    }
    if all_reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
