//! One end of a connection.

use std::collections::VecDeque;
use std::io;

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::net::Shutdown;

use crate::system::{self, Medium};

/// What may wait for a peer that does not read; then its counterpart is not read from.
pub(crate) const MAX_UNSENT: usize = 1 << 20;

/// One end: a socket, a pipe, a terminal. Never waits.
#[derive(Debug)]
pub(crate) struct Side {
    descriptor: OwnedFd,
    medium: Medium,
    unsent: VecDeque<Piece>,
    n_unsent: usize,
    /// Nothing more is to be written once what waits is written.
    is_ending: bool,
    /// Nothing more can be written.
    is_deaf: bool,
    /// Nothing more comes.
    pub(crate) is_silent: bool,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    n_sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Side {
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self {
            medium: system::medium(&descriptor)?,
            descriptor,
            unsent: VecDeque::new(),
            n_unsent: 0,
            is_ending: false,
            is_deaf: false,
            is_silent: false,
        })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Whether something waits to be written.
    pub(crate) fn is_busy(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether more waits than is good.
    pub(crate) fn is_full(&self) -> bool {
        self.n_unsent >= MAX_UNSENT
    }

    /// Whether nothing goes either way any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_silent && self.is_deaf
    }

    /// Reads what is there; nothing at the end.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        system::read(&self.descriptor, self.medium, buffer, descriptors)
    }

    /// Sends bytes as soon as the peer takes them, and descriptors with the first of them. They are closed where they cannot
    /// travel.
    pub(crate) fn send(&mut self, bytes: &[u8], descriptors: Vec<OwnedFd>) {
        if self.is_deaf || bytes.is_empty() {
            return;
        }
        let mut n_sent = 0;
        let mut descriptors = descriptors;
        if self.medium != Medium::Unix {
            descriptors.clear();
        }
        if self.unsent.is_empty() {
            match self.write(bytes, &descriptors) {
                Ok(n) => {
                    n_sent = n;
                    descriptors.clear();
                }
                Err(error) if is_later(&error) => {}
                Err(_) => return self.deafen(),
            }
        }
        if n_sent < bytes.len() {
            self.n_unsent += bytes.len() - n_sent;
            self.unsent.push_back(Piece {
                bytes: bytes[n_sent..].to_vec(),
                n_sent: 0,
                descriptors,
            });
        }
    }

    /// Writes what waits, as far as the peer takes it.
    pub(crate) fn flush(&mut self) {
        while let Some(piece) = self.unsent.front() {
            let n = match self.write(&piece.bytes[piece.n_sent..], &piece.descriptors) {
                Ok(n) => n,
                Err(error) if is_later(&error) => return,
                Err(_) => return self.deafen(),
            };
            self.n_unsent -= n;
            match self.unsent.front_mut() {
                Some(piece) if piece.n_sent + n < piece.bytes.len() => {
                    piece.n_sent += n;
                    piece.descriptors.clear();
                }
                Some(_) | None => drop(self.unsent.pop_front()),
            }
        }
        if self.is_ending {
            self.shut(Shutdown::Write);
        }
    }

    fn write(&self, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
        system::write(&self.descriptor, self.medium, bytes, descriptors)
    }

    /// Says nothing more once what waits is said.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
        if !self.is_busy() {
            self.shut(Shutdown::Write);
        }
    }

    /// Ends both directions at once; what waits is lost.
    pub(crate) fn close(&mut self) {
        self.deafen();
        self.is_silent = true;
        self.shut(Shutdown::Both);
    }

    /// The peer takes nothing more.
    pub(crate) fn deafen(&mut self) {
        self.is_deaf = true;
        self.unsent.clear();
        self.n_unsent = 0;
    }

    fn shut(&self, how: Shutdown) {
        if self.medium.is_socket() {
            // The peer may be gone already, which is the same.
            let _ = rustix::net::shutdown(&self.descriptor, how);
        }
    }
}

/// Whether there is nothing to be done but to wait.
pub(crate) fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
