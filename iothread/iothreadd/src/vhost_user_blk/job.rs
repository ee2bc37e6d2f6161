//! A request that is being carried out, in pieces if it is large.

use std::sync::Arc;

use vm_memory::GuestAddress;

use super::memory::{BadMemory, Memory};
use super::request::{Action, GuestRequest, Status};
use crate::block::{IoBuffer, Operation, Outcome, Request};

/// The most bytes that are copied at a time; longer requests are carried out one piece after the other.
pub(super) const PIECE_SIZE: usize = 4 << 20;

/// Bytes of the name of a disk.
const ID_SIZE: usize = 20;

/// A request under way.
pub(super) struct Job {
    request: GuestRequest,
    /// The memory that the request came with.
    memory: Arc<Memory>,
    /// Bytes of data.
    length: u64,
    /// Bytes that are done.
    done: u64,
    /// Bytes that the node has.
    piece: usize,
    /// Tells it apart from others of its queue while the node has it.
    number: u64,
}

/// What it takes to answer a request without its outcome.
pub(super) struct Ticket {
    head: u16,
    status: Option<GuestAddress>,
    memory: Arc<Memory>,
    reserved: usize,
}

/// What becomes of a job.
pub(super) enum Next {
    /// The node has to do this.
    Submit(Job, Request),
    Finished(Finished),
}

/// A job at its end.
pub(super) struct Finished {
    pub(super) status: Status,
    pub(super) head: u16,
    /// Bytes of the guest's memory that were written, the status included.
    pub(super) written: u32,
    /// What buffers had, and have not any more.
    pub(super) reserved: usize,
}

impl Job {
    pub(super) fn new(request: GuestRequest, memory: Arc<Memory>) -> Self {
        Self {
            length: request.length(),
            request,
            memory,
            done: 0,
            piece: 0,
            number: 0,
        }
    }

    pub(super) fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            head: self.request.head,
            status: self.request.status,
            memory: Arc::clone(&self.memory),
            reserved: self.reserved(),
        }
    }

    /// Bytes that its buffers may take.
    pub(super) fn reserved(&self) -> usize {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        match self.request.action {
            Action::Read { .. } | Action::Write { .. } => length.min(PIECE_SIZE),
            Action::Flush
            | Action::Identify
            | Action::Discard { .. }
            | Action::WriteZeroes { .. }
            | Action::Refuse(_) => 0,
        }
    }

    /// Begins, or goes on with the next piece. `fua` is whether what is written has to be on stable storage when it is
    /// done; `buffer` makes one of a length.
    pub(super) fn next(
        mut self,
        id: &str,
        fua: bool,
        buffer: impl FnOnce(usize) -> IoBuffer,
    ) -> Next {
        let piece = usize::try_from(self.length - self.done)
            .unwrap_or(usize::MAX)
            .min(PIECE_SIZE);
        self.piece = piece;
        let (offset, operation) = match self.request.action {
            Action::Refuse(status) => return self.finish(status),
            Action::Identify => return self.identify(id),
            Action::Read { .. } | Action::Write { .. } if piece == 0 => {
                return self.finish(Status::Done);
            }
            Action::Read { offset } => (offset + self.done, Operation::Read(buffer(piece))),
            Action::Write { offset } => {
                let mut data = buffer(piece);
                if self.copy_in(&mut data).is_err() {
                    return self.finish(Status::Failed);
                }
                (offset + self.done, Operation::Write { data, fua })
            }
            Action::Flush => (0, Operation::Flush),
            Action::Discard { offset, length } => (offset, Operation::Discard { length, fua }),
            Action::WriteZeroes {
                offset,
                length,
                may_unmap,
            } => {
                let operation = Operation::WriteZeroes {
                    length,
                    may_unmap,
                    only_if_fast: false,
                    fua,
                };
                (offset, operation)
            }
        };
        Next::Submit(self, Request { offset, operation })
    }

    /// Takes the outcome of what was submitted. Returns the job if it has another piece, and the buffer.
    pub(super) fn take(mut self, outcome: Outcome) -> (Result<Self, Finished>, IoBuffer) {
        let Outcome { result, buffer, .. } = outcome;
        if let Err(error) = result {
            return (Err(self.finished(error.into())), buffer);
        }
        let copied = match self.request.action {
            Action::Read { .. } => self.copy_out(&buffer),
            Action::Write { .. }
            | Action::Flush
            | Action::Identify
            | Action::Discard { .. }
            | Action::WriteZeroes { .. }
            | Action::Refuse(_) => Ok(()),
        };
        if copied.is_err() {
            return (Err(self.finished(Status::Failed)), buffer);
        }
        // The buffer may be gone, as zeroes need none.
        self.done += self.piece as u64;
        if self.done < self.length {
            (Ok(self), buffer)
        } else {
            (Err(self.finished(Status::Done)), buffer)
        }
    }

    /// Answers [`Action::Identify`].
    fn identify(self, id: &str) -> Next {
        let mut name = [0; ID_SIZE];
        let length = id.len().min(ID_SIZE);
        name[..length].copy_from_slice(&id.as_bytes()[..length]);
        let room = usize::try_from(self.length).unwrap_or(usize::MAX);
        match self.copy_out(&name[..room.min(ID_SIZE)]) {
            Ok(()) => self.finish(Status::Done),
            Err(BadMemory) => self.finish(Status::Failed),
        }
    }

    fn copy_in(&self, data: &mut [u8]) -> Result<(), BadMemory> {
        let mut filled = 0;
        self.for_each(data.len(), |address, count| {
            let place = &mut data[filled..filled + count];
            filled += count;
            self.memory.read(address, place)
        })
    }

    fn copy_out(&self, data: &[u8]) -> Result<(), BadMemory> {
        let mut taken = 0;
        self.for_each(data.len(), |address, count| {
            let bytes = &data[taken..taken + count];
            taken += count;
            self.memory.write(address, bytes)
        })
    }

    /// Goes through the memory of the next `length` bytes, of which there are as many.
    fn for_each(
        &self,
        length: usize,
        mut copy: impl FnMut(vm_memory::GuestAddress, usize) -> Result<(), BadMemory>,
    ) -> Result<(), BadMemory> {
        use vm_memory::Address;

        let mut skip = usize::try_from(self.done).map_err(|_| BadMemory)?;
        let mut left = length;
        for segment in &self.request.data {
            if skip >= segment.length {
                skip -= segment.length;
                continue;
            }
            if left == 0 {
                break;
            }
            let count = left.min(segment.length - skip);
            let address = segment.address.checked_add(skip as u64).ok_or(BadMemory)?;
            copy(address, count)?;
            skip = 0;
            left -= count;
        }
        if left == 0 { Ok(()) } else { Err(BadMemory) }
    }

    fn finish(self, status: Status) -> Next {
        Next::Finished(self.finished(status))
    }

    fn finished(&self, status: Status) -> Finished {
        let data = match (status, &self.request.action) {
            (Status::Done, Action::Read { .. }) => self.length,
            (Status::Done, Action::Identify) => self.length.min(ID_SIZE as u64),
            (_, _) => 0,
        };
        self.ticket().finish(status, data)
    }
}

impl Ticket {
    /// The buffers stay in use when the request has been answered: the node has them.
    pub(super) fn without_buffers(self) -> Self {
        Self {
            reserved: 0,
            ..self
        }
    }

    /// The request has failed.
    pub(super) fn fail(&self) -> Finished {
        self.finish(Status::Failed, 0)
    }

    /// Tells the guest how it ended, except on the ring. `data` is how many bytes of its memory were written.
    fn finish(&self, status: Status, data: u64) -> Finished {
        let written = match self.status {
            Some(address) if self.memory.write(address, &[status.to_byte()]).is_ok() => {
                u32::try_from(data + 1).unwrap_or(u32::MAX)
            }
            // There is no place for a status: the chain comes back untouched.
            Some(_) | None => 0,
        };
        Finished {
            status,
            head: self.head,
            written,
            reserved: self.reserved,
        }
    }
}
