//! The memory of the server meanwhile.

use std::fmt;

use anyhow::{Context as _, Result};

/// Parts into which the commands are cut.
const N_PARTS: usize = 10;

/// The largest resident memory in each tenth of the commands, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Resident {
    parts: [u64; N_PARTS],
}

impl Resident {
    /// How much larger it is in the last tenth than it has been in the third, when every client is
    /// there and every buffer was used.
    #[must_use]
    pub fn growth(&self) -> f64 {
        let [_, _, early, .., late] = self.parts;
        late as f64 / early.max(1) as f64
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bytes in self.parts {
            write!(f, "{:.1} ", bytes as f64 / f64::from(1 << 20))?;
        }
        f.write_str("MiB")
    }
}

pub(super) struct Watch {
    process_id: u32,
    n_commands: u64,
    resident: Resident,
}

impl Watch {
    pub(super) fn new(process_id: u32, n_commands: u64) -> Self {
        Self {
            process_id,
            n_commands,
            resident: Resident::default(),
        }
    }

    pub(super) fn look(&mut self, n_replies: u64) -> Result<()> {
        let bytes = resident_bytes(self.process_id)?;
        let n_parts = u64::try_from(N_PARTS)?;
        let part = (n_replies * n_parts / self.n_commands.max(1)).min(n_parts - 1);
        let part = &mut self.resident.parts[usize::try_from(part)?];
        *part = bytes.max(*part);
        Ok(())
    }

    pub(super) fn into_resident(self) -> Resident {
        self.resident
    }
}

/// The resident memory of a process.
///
/// # Errors
///
/// There is no such process.
pub fn resident_bytes(process_id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.context("no VmRSS")?.trim_end_matches("kB").trim();
    Ok(kibibytes.parse::<u64>()? << 10)
}
