//! What comes from a client that uses an export.

use std::os::fd::OwnedFd;

use iothread::Timer;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::request::{Header, Refusal};
use crate::block::IoBuffer;
use crate::finally::Finally;

/// What comes next from the client.
pub(super) enum Receiving {
    Header,
    /// The data of a write, of which some are there.
    Payload {
        header: Header,
        data: IoBuffer,
        filled: usize,
    },
    /// Data of a write that is refused when they have come: a client that hears of it before may stop in the middle of them.
    Skip {
        header: Header,
        refusal: Refusal,
        left: u32,
    },
    /// Nothing more; what was asked for is still answered.
    Ended,
}

/// The end of a connection that is meant: what has come is still answered.
pub(super) struct Ending {
    /// Bytes that had come when it began, and are still to be received.
    pub(super) arrived: usize,
    /// Ends the patience with a client that takes no replies.
    pub(super) linger: Option<Timer>,
    /// Kept until the connection is over.
    pub(super) _closed: Finally,
}

/// The client cannot be served any more.
pub(super) struct Broken;

/// What came of receiving.
pub(super) struct Received {
    pub(super) count: usize,
    pub(super) may_be_more: bool,
    pub(super) is_end: bool,
}

/// Receives as much as fits, but not more than `limit`.
pub(super) fn receive_into(
    socket: &OwnedFd,
    buffer: &mut [u8],
    limit: Option<usize>,
) -> Result<Received, Broken> {
    let wanted = limit.map_or(buffer.len(), |limit| limit.min(buffer.len()));
    let buffer = &mut buffer[..wanted];
    let received = |count: usize, is_end: bool| Received {
        count,
        may_be_more: count == wanted && !is_end,
        is_end,
    };
    match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Ok(received(0, true)),
        Ok((count, _)) => Ok(received(count, false)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(received(0, false)),
        Err(_) => Err(Broken),
    }
}
