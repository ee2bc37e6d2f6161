//! Linux: what it tells of processes is in files below /proc.

use std::fs;
use std::path::PathBuf;

/// The numbers and names of all threads of a process.
pub(crate) fn threads(process: u32) -> Option<Vec<(i64, String)>> {
    let folder = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let tasks = folder.flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((id, name.trim_end_matches('\n').to_owned()))
    });
    Some(tasks.collect())
}

/// All processes that can be seen.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process was started with, each argument with a zero behind it.
pub(crate) fn arguments(process: u32) -> Vec<u8> {
    fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

/// The file of the program that a process runs.
pub(crate) fn program(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}
