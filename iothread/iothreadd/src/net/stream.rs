//! Connections of monitors: a socket, or the two standard streams.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use iothread::{
    AioContext, BottomHalf, ContextError, Dispatch, FdDispatch, FdHandler, FdWatch, Interest,
    Polling,
};
use qapi_runtime::descriptor::receive;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionread};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::log::Log;
use super::reach::local_address;
use super::terminal::RawTerminal;

/// How much of what a peer still sends is taken away before its connection is closed.
const DRAIN_SIZE: usize = 64 << 10;

/// What came beside bytes.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether there were more of them than could be received.
    pub(crate) has_lost_some: bool,
}

/// The two directions of a connection. Nothing here blocks.
#[derive(Clone)]
pub(crate) struct Stream {
    ends: Ends,
    /// Gets a copy of what is sent.
    log: Option<Arc<Log>>,
}

/// What there is to receive from and to send to.
#[derive(Clone)]
enum Ends {
    Unix(Arc<OwnedFd>),
    Tcp(Arc<OwnedFd>),
    Stdio(Arc<Stdio>),
}

/// Two streams, such as the standard ones, which do not block as long as this lives.
struct Stdio {
    input: Arc<OwnedFd>,
    output: Arc<OwnedFd>,
    /// The streams that blocked before. Other processes may share them.
    blocking: Vec<Arc<OwnedFd>>,
}

impl From<Ends> for Stream {
    fn from(ends: Ends) -> Self {
        Self { ends, log: None }
    }
}

impl Stream {
    /// A connected unix socket.
    pub(crate) fn unix(socket: OwnedFd) -> Self {
        Ends::Unix(Arc::new(socket)).into()
    }

    /// A connected socket of the internet.
    pub(crate) fn tcp(socket: OwnedFd) -> Self {
        Ends::Tcp(Arc::new(socket)).into()
    }

    /// The standard streams.
    pub(crate) fn stdio() -> io::Result<Self> {
        let input = Arc::new(fcntl_dupfd_cloexec(std::io::stdin(), 3)?);
        let output = Arc::new(fcntl_dupfd_cloexec(std::io::stdout(), 3)?);
        let blocking = [&input, &output]
            .into_iter()
            .filter(|fd| stop_blocking(fd))
            .cloned()
            .collect();
        let stdio = Stdio {
            input,
            output,
            blocking,
        };
        Ok(Ends::Stdio(Arc::new(stdio)).into())
    }

    /// A descriptor to read from and one to write to. Neither may block.
    pub(crate) fn pair(input: OwnedFd, output: OwnedFd) -> Self {
        let stdio = Stdio {
            input: Arc::new(input),
            output: Arc::new(output),
            blocking: Vec::new(),
        };
        Ends::Stdio(Arc::new(stdio)).into()
    }

    /// The same, with a file that gets a copy of what is sent from now on.
    pub(crate) fn with_log(self, log: Option<Arc<Log>>) -> Self {
        Self { log, ..self }
    }

    /// Whether it is a socket of the internet.
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.ends, Ends::Tcp(_))
    }

    /// Whether it does not belong to a socket.
    pub(crate) fn is_stdio(&self) -> bool {
        matches!(self.ends, Ends::Stdio(_))
    }

    /// The descriptor of a socket; `None` for the standard streams.
    pub(crate) fn socket(&self) -> Option<&Arc<OwnedFd>> {
        match &self.ends {
            Ends::Unix(socket) | Ends::Tcp(socket) => Some(socket),
            Ends::Stdio(_) => None,
        }
    }

    /// Takes the keys of a terminal one by one, if it is one.
    pub(crate) fn raw_terminal(&self) -> Option<RawTerminal> {
        match &self.ends {
            Ends::Unix(_) | Ends::Tcp(_) => None,
            Ends::Stdio(stdio) => RawTerminal::new(&stdio.input),
        }
    }

    /// The own addresses of its sockets, if they are of the internet.
    pub(crate) fn inet_addresses(&self) -> Vec<SocketAddr> {
        let both = match &self.ends {
            Ends::Unix(_) => [None, None],
            Ends::Tcp(socket) => [local_address(&**socket), None],
            Ends::Stdio(stdio) => [local_address(&*stdio.input), local_address(&*stdio.output)],
        };
        both.into_iter().flatten().collect()
    }

    /// Whether the peer has closed both directions and everything that came from it has been received.
    pub(crate) fn peer_is_gone(&self) -> bool {
        let Some(socket) = self.socket() else {
            return false;
        };
        let mut fds = [PollFd::new(&**socket, PollFlags::empty())];
        // A time of zero: it does not wait. A failure tells nothing.
        let polled = poll(&mut fds, Some(&Timespec::default()));
        let has_hung_up = polled.is_ok() && fds[0].revents().contains(PollFlags::HUP);
        let mut byte = [0; 1];
        let next = recv(
            &**socket,
            &mut byte[..],
            RecvFlags::PEEK | RecvFlags::DONTWAIT,
        );
        has_hung_up && matches!(next, Ok((_, 0)))
    }

    /// Receives bytes, and descriptors that come with them if they are wanted.
    pub(crate) fn receive(
        &self,
        buffer: &mut [u8],
        takes_descriptors: bool,
    ) -> io::Result<(usize, Passed)> {
        let mut passed = Passed::default();
        let count = match &self.ends {
            Ends::Unix(socket) if takes_descriptors => {
                let received = receive(&**socket, buffer, &mut passed.descriptors)?;
                passed.has_lost_some = received.has_lost_descriptors;
                received.n_bytes
            }
            Ends::Unix(socket) | Ends::Tcp(socket) => {
                recv(&**socket, buffer, RecvFlags::DONTWAIT)?.0
            }
            Ends::Stdio(stdio) => rustix::io::read(&*stdio.input, buffer)?,
        };
        Ok((count, passed))
    }

    /// Sends some of the bytes.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &self.ends {
            Ends::Unix(socket) | Ends::Tcp(socket) => {
                send(&**socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?
            }
            Ends::Stdio(stdio) => rustix::io::write(&*stdio.output, bytes)?,
        };
        if let Some(log) = &self.log {
            log.add(&bytes[..count]);
        }
        Ok(count)
    }

    /// Sends some of the bytes of several pieces.
    pub(crate) fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = match &self.ends {
            Ends::Unix(socket) | Ends::Tcp(socket) => rustix::io::writev(&**socket, pieces)?,
            Ends::Stdio(stdio) => rustix::io::writev(&*stdio.output, pieces)?,
        };
        if let Some(log) = &self.log {
            let mut left = count;
            for piece in pieces {
                let taken = left.min(piece.len());
                log.add(&piece[..taken]);
                left -= taken;
            }
        }
        Ok(count)
    }

    /// How many bytes have come and were not received yet; none if it cannot tell.
    pub(crate) fn n_arrived(&self) -> usize {
        let arrived = match &self.ends {
            Ends::Unix(socket) | Ends::Tcp(socket) => ioctl_fionread(&**socket),
            Ends::Stdio(stdio) => ioctl_fionread(&*stdio.input),
        };
        usize::try_from(arrived.unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// Tells the peer at once that the connection is over, even if others have its descriptor.
    pub(crate) fn disconnect(&self) {
        if let Some(socket) = self.socket() {
            // A peer that has gone knows.
            let _ = shutdown(&**socket, Shutdown::Both);
        }
    }

    /// Ends the connection so that the peer receives all that was sent.
    pub(crate) fn close(&self) {
        let Some(socket) = self.socket() else {
            return;
        };
        // The peer may be gone already.
        let _ = shutdown(&**socket, Shutdown::Write);
        // Closing a socket that has unread bytes resets the connection.
        let mut rest = [0; 4096];
        let mut drained = 0;
        while drained < DRAIN_SIZE
            && let Ok((count @ 1.., _)) = recv(&**socket, &mut rest[..], RecvFlags::DONTWAIT)
        {
            drained += count;
        }
    }
}

/// Whether the stream blocked before.
fn stop_blocking(fd: &OwnedFd) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    match fcntl_getfl(fd) {
        Ok(flags) if !flags.contains(OFlags::NONBLOCK) => {
            fcntl_setfl(fd, flags | OFlags::NONBLOCK).is_ok()
        }
        Ok(_) | Err(_) => false,
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        for fd in &self.blocking {
            if let Ok(flags) = fcntl_getfl(fd) {
                // If it fails, nothing is left that could be done.
                let _ = fcntl_setfl(fd, flags.difference(OFlags::NONBLOCK));
            }
        }
    }
}

/// What serves a connection.
pub(crate) trait Endpoint: Send + Sync + 'static {
    /// There is something to receive, or the peer is gone.
    fn readable(self: &Arc<Self>, dispatch: &Dispatch<'_>);

    /// There is room to send, or the peer is gone.
    fn writable(self: &Arc<Self>, dispatch: &Dispatch<'_>);

    /// How it hears of input while its event loop polls.
    fn polling(&self) -> Polling {
        Polling::Never
    }
}

/// What wakes an endpoint; dropping it ends that.
pub(crate) struct Watches {
    input: Input,
    /// The watch of the output, where the two directions are two descriptors.
    output: Option<FdWatch>,
    wanted: Interest,
}

enum Input {
    Watched(FdWatch),
    /// A file, which is always ready.
    Ready(BottomHalf),
}

impl Watches {
    /// Watches a connection, for nothing yet. On the context's thread, so that the caller can keep the result before the
    /// endpoint is called.
    pub(crate) fn new<E: Endpoint>(
        context: &AioContext,
        stream: &Stream,
        endpoint: &Arc<E>,
    ) -> Result<Self, ContextError> {
        let handler = || Handler(Arc::clone(endpoint));
        let (input, output, wanted) = match &stream.ends {
            Ends::Unix(socket) | Ends::Tcp(socket) => {
                let watch = context.add_fd(Arc::clone(socket), Interest::NONE, handler())?;
                (Input::Watched(watch), None, Interest::NONE)
            }
            Ends::Stdio(stdio) => {
                // Whether a descriptor can be watched shows when it is watched for something.
                let watch = context.add_fd(Arc::clone(&stdio.input), Interest::READ, handler());
                let input = match watch {
                    Ok(watch) => Input::Watched(watch),
                    Err(error) if is_file(&error) => {
                        let reader = Arc::clone(endpoint);
                        Input::Ready(
                            context.bottom_half(move |dispatch| reader.readable(dispatch))?,
                        )
                    }
                    Err(error) => return Err(error),
                };
                let output = context.add_fd(Arc::clone(&stdio.output), Interest::WRITE, handler());
                let output = match output {
                    Ok(watch) => Some(watch),
                    // Writing to it never has to wait.
                    Err(error) if is_file(&error) => None,
                    Err(error) => return Err(error),
                };
                (input, output, Interest::READ_WRITE)
            }
        };
        Ok(Self {
            input,
            output,
            wanted,
        })
    }

    /// Changes what the endpoint is called for.
    pub(crate) fn set(&mut self, wanted: Interest) -> Result<(), ContextError> {
        if let Input::Ready(reader) = &self.input
            && wanted.contains(Interest::READ)
        {
            reader.schedule();
        }
        if wanted == self.wanted {
            return Ok(());
        }
        self.wanted = wanted;
        let of_input = match &self.output {
            Some(output) => {
                output.set_interest(Interest::WRITE.when(wanted.contains(Interest::WRITE)))?;
                Interest::READ.when(wanted.contains(Interest::READ))
            }
            None => wanted,
        };
        match &self.input {
            Input::Watched(watch) => watch.set_interest(of_input),
            Input::Ready(_) => Ok(()),
        }
    }

    /// What the endpoint is called for.
    pub(crate) fn wanted(&self) -> Interest {
        self.wanted
    }
}

/// Whether epoll has refused a file.
fn is_file(error: &ContextError) -> bool {
    match error {
        ContextError::Watch(error) => error.raw_os_error() == Some(Errno::PERM.raw_os_error()),
        _ => false,
    }
}

struct Handler<E>(Arc<E>);

impl<E: Endpoint> FdHandler for Handler<E> {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.0.readable(dispatch);
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.0.writable(dispatch);
    }

    fn polling(&self) -> Polling {
        self.0.polling()
    }
}
