//! The driver "null-co": blocks from nowhere.

use std::time::Duration;

use qapi_runtime::Error;

use super::{SECTOR, not_negative};
use crate::block::io::{Extent, Operation, Outcome, Request, Step};
use crate::qapi::BlockdevOptionsNull;

/// Size of a null node unless told otherwise.
const DEFAULT_SIZE: u64 = 1 << 30;

/// A node without data.
pub(in crate::block) struct Null {
    pub(super) size: u64,
    read_zeroes: bool,
    latency: Duration,
    /// What it was told that makes its contents other than those of any null node.
    pub(in crate::block) told: (Option<i64>, Option<bool>),
}

/// The size in whole sectors.
fn whole_sectors(size: u64) -> Result<u64, Error> {
    let rounded = size.next_multiple_of(SECTOR);
    match i64::try_from(rounded) {
        Ok(_) => Ok(rounded),
        Err(_) => Err(Error::generic(
            "Could not refresh total sector count: File too large",
        )),
    }
}

impl Null {
    pub(in crate::block) fn new(options: &BlockdevOptionsNull) -> Result<Self, Error> {
        let size = match options.size {
            None => DEFAULT_SIZE,
            Some(size) => whole_sectors(not_negative("size", size)?)?,
        };
        let latency = options.latency_ns.unwrap_or(0);
        if i64::try_from(latency).is_err() {
            return Err(Error::generic("latency-ns is invalid"));
        }
        Ok(Self {
            size,
            read_zeroes: options.read_zeroes.unwrap_or(false),
            latency: Duration::from_nanos(latency),
            told: (options.size, options.read_zeroes),
        })
    }

    pub(in crate::block) fn start(&self, request: Request) -> Step {
        let mut extents = Vec::new();
        let mut waits = true;
        match &request.operation {
            Operation::BlockStatus { length, .. } => {
                waits = false;
                extents.push(Extent {
                    length: *length,
                    is_allocated: false,
                    is_zero: self.read_zeroes,
                });
            }
            Operation::Read(_)
            | Operation::Write { .. }
            | Operation::WriteZeroes { .. }
            | Operation::Discard { .. }
            | Operation::Flush
            | Operation::Cache { .. } => {}
        }
        let buffer = match request.operation {
            Operation::Read(mut buffer) if self.read_zeroes => {
                buffer.fill(0);
                buffer
            }
            operation => operation.into_buffer(),
        };
        let outcome = Outcome {
            result: Ok(()),
            buffer,
            extents,
        };
        if waits && !self.latency.is_zero() {
            Step::Delayed {
                delay: self.latency,
                outcome,
            }
        } else {
            Step::Done(outcome)
        }
    }
}
