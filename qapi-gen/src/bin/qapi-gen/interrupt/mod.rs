//! What asks the process to end while it writes files: signals, and what Windows has in their place.

#[cfg(not(any(unix, windows)))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(any(unix, windows)))]
pub(crate) use self::other::{survive_full_files, tidy_up};
#[cfg(unix)]
pub(crate) use self::unix::{survive_full_files, tidy_up};
#[cfg(windows)]
pub(crate) use self::windows::{survive_full_files, tidy_up};
