//! Signals: ending on one while files are being written, and not ending for a file that is too long.

use std::io;
use std::sync::Arc;
use std::thread;

use qapi_gen::internals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// From here on a signal that asks the process to end removes unfinished files first. One that was ignored when the process
/// started stays so.
pub(crate) fn tidy_up() -> io::Result<()> {
    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let wanted = wanted.filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                internals::abandon();
                // It ends the process. If it could not, nothing would go on, as nothing may be written any more.
                if emulate_default_handler(signal).is_err() {
                    std::process::exit(1);
                }
            }
        })
        .map_err(not_started)?;
    Ok(())
}

/// Why a thread could not be started. The system's error alone does not say what it is about.
fn not_started(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot start a thread: {error}"))
}

/// From here on a write beyond the limit of a file's size fails with an error instead of killing the process.
pub(crate) fn survive_full_files() -> io::Result<()> {
    // With any handler in place the write fails; whether it ran does not matter.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signals that the process ignores, one bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
