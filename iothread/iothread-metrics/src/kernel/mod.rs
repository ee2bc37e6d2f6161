//! What the kernel of this machine counts of a thread.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::time::Duration;

#[cfg(target_os = "linux")]
use self::linux as system;
#[cfg(not(target_os = "linux"))]
use self::other as system;

/// What it has counted since the thread began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// The time on a processor, to nanoseconds.
    pub ran: Duration,
    /// The part of it outside of the kernel, to a tick of the kernel's clock.
    pub user: Duration,
    /// The part of it in the kernel, to a tick of the kernel's clock.
    pub system: Duration,
    /// How long the thread could have run and had no processor.
    pub delayed: Duration,
    /// How often it went to sleep.
    pub voluntary: u64,
    /// How often it was made to give way.
    pub forced: u64,
    /// The processor that it was on.
    pub last_cpu: u32,
    /// The processors that it may use, as a list of the kernel's: `0-3,8`.
    pub affinity: String,
}

/// What a thread of a process used. Nothing if the process has no such thread, or calls it by a number of another namespace: then
/// the number is that of something else here.
#[must_use]
pub fn counts(process: u32, thread_id: i64) -> Option<Counts> {
    system::counts(process, thread_id)
}

/// Whether somebody has stopped a process, so that it answers nobody.
#[must_use]
pub fn is_stopped(process: u32) -> bool {
    system::is_stopped(process)
}
