//! What is known of a guest at a moment: types only. Who made each of them is in [`crate::source`].

mod event_loop;
mod holder;
mod thread;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::event_loop::{EventLoop, LoopUsage};
pub(crate) use self::holder::{Device, Disk, Export, Holder, Place};
pub(crate) use self::thread::{Kernel, Origin, Standing, Thread, Usage};

/// All that one look at a guest has found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Facts {
    /// What the guest is called by its server.
    pub(crate) name: Option<String>,
    /// What the server greets with: its version and its package.
    pub(crate) server: String,
    /// The server's process, where it is one of this machine.
    pub(crate) process: Option<u32>,
    pub(crate) threads: Vec<Thread>,
    /// Devices with disks or IOThreads.
    pub(crate) devices: Vec<Device>,
    /// Block exports.
    pub(crate) exports: Vec<Export>,
    /// Threads of the process that nobody accounts for and that have no name of their own, among which deleted IOThreads
    /// may be. `None` where the process cannot be seen, or its threads have names.
    pub(crate) n_unnamed: Option<usize>,
    /// What could not be known, and why: sentences for people.
    pub(crate) notes: Vec<String>,
    /// How long the look took.
    #[serde(with = "seconds")]
    pub(crate) took: Duration,
}

/// Times in JSON are seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(input)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
